//! Totals of the records of a type, without the engine (TAB-18): from a projection that keeps them, or
//! from decoded columns.

use std::cmp::Ordering;
use std::collections::HashMap;
use std::sync::Arc;

use allod_sql::{
    ColumnSet, Function, Item, Open, Plan, Scalar, ScalarRef, ShouldStop, Table as _, TableError,
    Totals,
};
use allod_views::{FieldKind, Name, Projection, Snapshot, Type};

use crate::cells::Cells;
use crate::columns::FIELDS;
use crate::leaf::LeafRows;
use crate::projected::ProjectedTable;
use crate::records::Records;
use crate::rows::LeafScan;
use crate::visibility::Visibility;

/// Groups that are kept here; of more, the engine takes care.
const GROUPS_MAX: usize = 100_000;

/// Bytes of groups, with their totals, that are kept here.
const GROUPS_BYTES_MAX: usize = 64 * 1024 * 1024;

/// The longest text that is taken from a projection: a longer one may be cut, or be before one that is
/// (PROJ-4).
const TEXT_BYTES_MAX: usize = 60;

/// Where totals come from.
pub(crate) enum Way {
    Projection(Kept),
    Scan,
}

/// A projection that has totals.
pub(crate) struct Kept {
    name: Name,
    /// Of each group, the column there.
    groups: Vec<usize>,
    items: Vec<Source>,
}

/// Where a projection has an item.
enum Source {
    Column(usize),
    /// A sum, with what shows that no sum of a part of the values is too large: their number, the least
    /// and the greatest.
    Sum(usize, [usize; 3]),
}

impl Way {
    /// How people are told of it.
    pub(crate) fn shown(&self) -> String {
        match self {
            Self::Projection(kept) => format!("projection {}", kept.name),
            Self::Scan => "decoded columns".to_owned(),
        }
    }
}

/// The field of a column, if it has one value.
fn field(kind: &Type, column: usize) -> Option<&FieldKind> {
    let field = kind.definition().fields.get(column.checked_sub(FIELDS)?)?;
    (!field.list).then_some(&field.kind)
}

/// Whether values are told apart here as the engine does.
const fn is_plain(kind: &FieldKind) -> bool {
    matches!(
        kind,
        FieldKind::String | FieldKind::Ref(_) | FieldKind::Integer | FieldKind::Boolean
    )
}

/// A way to totals that are what the engine would compute; none if there is none.
pub(crate) fn way(snapshot: &Snapshot, kind: &Type, prefix: &[u8], totals: &Totals) -> Option<Way> {
    let is_group = |(column, _): &(usize, bool)| field(kind, *column).is_some_and(is_plain);
    let is_item = |item: &Item| match item {
        Item::Group(_) | Item::Total(Function::Count, _) => true,
        Item::Total(Function::Sum | Function::Avg, Some(column)) => {
            matches!(
                field(kind, *column),
                Some(FieldKind::Integer | FieldKind::Boolean)
            )
        }
        Item::Total(Function::Min | Function::Max, Some(column)) => {
            field(kind, *column).is_some_and(is_plain)
        }
        Item::Total(..) => false,
    };
    if !totals.groups.iter().all(is_group) || !totals.items.iter().all(is_item) {
        return None;
    }
    let kept = || {
        let mut projections = snapshot.projections().projections();
        projections.find_map(|(name, projection)| {
            let definition = projection.definition();
            let is_all = definition.filter.is_none()
                && definition.source.as_bytes() == [prefix, b"*"].concat();
            let is_near = is_all && snapshot.is_fresh(name).unwrap_or_default();
            let (groups, items) = is_near.then(|| kept_in(projection, kind, totals))??;
            let name = name.clone();
            Some(Way::Projection(Kept {
                name,
                groups,
                items,
            }))
        })
    };
    // Without groups there is a row even of no records, which a projection does not have.
    let is_kept = totals.filters.is_empty() && !totals.groups.is_empty();
    let projection = if is_kept { kept() } else { None };
    Some(projection.unwrap_or(Way::Scan))
}

/// Of each group the column of a projection that has it, and of each item; none if it lacks one.
fn kept_in(
    projection: &Projection,
    kind: &Type,
    totals: &Totals,
) -> Option<(Vec<usize>, Vec<Source>)> {
    let (by, kept) = projection.group_fields()?;
    let fields = &kind.definition().fields;
    let name = |column: usize| Some(fields.get(column.checked_sub(FIELDS)?)?.name.as_str());
    let group = |(column, _): &(usize, bool)| {
        let name = name(*column)?;
        by.iter().position(|field| *field == Some(name))
    };
    let groups: Vec<usize> = totals.groups.iter().map(group).collect::<Option<_>>()?;
    if !(0..by.len()).all(|place| groups.contains(&place)) {
        return None;
    }
    let total = |function: allod_views::Function, of: Option<&str>| {
        let mut kept = kept.iter();
        let place = kept.position(|(known, field)| {
            *known == function && field.is_none_or(|field| field.is_some()) && field.flatten() == of
        })?;
        Some(by.len() + place)
    };
    let item = |item: &Item| match item {
        Item::Group(group) => groups.get(*group).map(|column| Source::Column(*column)),
        Item::Total(Function::Count, None) => {
            total(allod_views::Function::Count, None).map(Source::Column)
        }
        Item::Total(function, Some(column)) => {
            let of = Some(name(*column)?);
            let is_whole = field(kind, *column) == Some(&FieldKind::Integer);
            match function {
                Function::Count => total(allod_views::Function::Count, of).map(Source::Column),
                Function::Min => total(allod_views::Function::Min, of).map(Source::Column),
                Function::Max => total(allod_views::Function::Max, of).map(Source::Column),
                Function::Sum if is_whole => Some(Source::Sum(
                    total(allod_views::Function::Sum, of)?,
                    [
                        total(allod_views::Function::Count, None)?,
                        total(allod_views::Function::Min, of)?,
                        total(allod_views::Function::Max, of)?,
                    ],
                )),
                // An average there is exact, and the engine's is a binary64.
                _ => None,
            }
        }
        Item::Total(..) => None,
    };
    let items = totals.items.iter().map(item).collect::<Option<_>>()?;
    Some((groups, items))
}

/// A value of a projection, if it is what the engine would show.
fn shown(value: ScalarRef<'_>) -> Option<Scalar> {
    match value {
        ScalarRef::Text(text) if text.len() > TEXT_BYTES_MAX => None,
        ScalarRef::Real(_) | ScalarRef::Blob(_) => None,
        value => Some(value.to_scalar()),
    }
}

/// Whether no sum of so many values between two bounds exceeds 64 bits.
fn is_small([count, least, greatest]: [Scalar; 3]) -> bool {
    match (count, least, greatest) {
        (Scalar::Integer(count), Scalar::Integer(least), Scalar::Integer(greatest)) => {
            let span = least.unsigned_abs().max(greatest.unsigned_abs());
            i128::from(count) * i128::from(span) <= i128::from(i64::MAX)
        }
        // Of nothing but nulls.
        (Scalar::Integer(_), Scalar::Null, Scalar::Null) => true,
        _ => false,
    }
}

/// The rows of a projection, as items. None where its values are not what the engine would show.
pub(crate) fn of_projection(
    snapshot: &Snapshot,
    (kept, totals): (&Kept, &Totals),
    visibility: &Arc<dyn Visibility>,
    stop: &ShouldStop,
) -> Result<Option<Vec<Vec<Scalar>>>, TableError> {
    let projections = snapshot.projections();
    let found = projections
        .projection(&kept.name)
        .map(|found| (&kept.name, found));
    let Some(table) = found.and_then(|found| ProjectedTable::new(snapshot, found, visibility))
    else {
        return Ok(None);
    };
    let mut rows = table.open(&Open {
        plan: &Plan::scan(0),
        args: &[],
        order_by: &[],
        used: ColumnSet::ALL,
        should_stop: &**stop,
        stop,
    })?;
    let mut found = Vec::new();
    while rows.next()? {
        let values =
            |columns: &mut dyn Iterator<Item = usize>| -> Result<Option<Vec<Scalar>>, TableError> {
                let mut values = Vec::new();
                for column in columns {
                    values.push(shown(rows.column(column)?));
                }
                Ok(values.into_iter().collect())
            };
        let groups = values(&mut kept.groups.iter().copied())?;
        let items = values(&mut kept.items.iter().map(|item| match item {
            Source::Column(column) | Source::Sum(column, _) => *column,
        }))?;
        let (Some(groups), Some(items)) = (groups, items) else {
            return Ok(None);
        };
        for item in &kept.items {
            if let Source::Sum(_, [count, least, greatest]) = item {
                let bounds = [
                    rows.column(*count)?.to_scalar(),
                    rows.column(*least)?.to_scalar(),
                    rows.column(*greatest)?.to_scalar(),
                ];
                if !is_small(bounds) {
                    return Ok(None);
                }
            }
        }
        found.push((groups, items));
        if found.len() > GROUPS_MAX {
            return Ok(None);
        }
    }
    found.sort_by(|one, two| in_order(totals, &one.0, &two.0));
    Ok(Some(found.into_iter().map(|(_, items)| items).collect()))
}

/// The order of two groups.
fn in_order(totals: &Totals, one: &[Scalar], two: &[Scalar]) -> Ordering {
    let pairs = one.iter().zip(two).zip(&totals.groups);
    let mut orders = pairs.map(|((one, two), (_, is_descending))| {
        one.borrow().compare_by(two.borrow(), *is_descending)
    });
    orders
        .find(|order| order.is_ne())
        .unwrap_or(Ordering::Equal)
}

/// The totals of some rows.
#[derive(Clone, Debug, Default)]
struct Group {
    values: Vec<Scalar>,
    /// For each item; of a group nothing.
    totals: Vec<Total>,
}

#[derive(Clone, Debug, Default)]
struct Total {
    count: i64,
    sum: i128,
    /// The sum without regard to signs: while it fits 64 bits, no sum of a part of them can be too large.
    span: i128,
    extreme: Option<Scalar>,
}

/// Why the engine has to do it: a value that it counts in another way.
struct Unlike;

impl Total {
    /// Adds a value; gives how many bytes more are kept.
    fn add(&mut self, function: Function, value: ScalarRef<'_>) -> Result<usize, Unlike> {
        if value.is_null() {
            return Ok(0);
        }
        self.count += 1;
        match (function, value) {
            (Function::Count, _) => {}
            (Function::Sum | Function::Avg, ScalarRef::Integer(whole)) => {
                self.sum += i128::from(whole);
                self.span += i128::from(whole.unsigned_abs());
            }
            (Function::Min | Function::Max, ScalarRef::Integer(_) | ScalarRef::Text(_)) => {
                let is_beyond = self.extreme.as_ref().is_none_or(|known| {
                    let order = value.compare(known.borrow());
                    if function == Function::Min {
                        order.is_lt()
                    } else {
                        order.is_gt()
                    }
                });
                if is_beyond {
                    self.extreme = Some(value.to_scalar());
                    // What it takes the place of is counted on: texts that grow and grow are few.
                    if let ScalarRef::Text(text) = value {
                        return Ok(text.len());
                    }
                }
            }
            _ => return Err(Unlike),
        }
        Ok(0)
    }

    fn value(self, function: Function) -> Result<Scalar, Unlike> {
        if self.span > i128::from(i64::MAX) {
            return Err(Unlike);
        }
        let sum = i64::try_from(self.sum).map_err(|_error| Unlike)?;
        Ok(match function {
            Function::Count => Scalar::Integer(self.count),
            Function::Sum | Function::Avg if self.count == 0 => Scalar::Null,
            Function::Sum => Scalar::Integer(sum),
            Function::Avg => Scalar::Real(sum as f64 / self.count as f64),
            _ => self.extreme.unwrap_or_default(),
        })
    }
}

/// Groups by their values.
struct Groups<'a> {
    totals: &'a Totals,
    places: HashMap<Vec<u8>, usize>,
    all: Vec<Group>,
    /// How many bytes their values have.
    bytes: usize,
    /// Where the values of a row are put together.
    key: Vec<u8>,
}

impl<'a> Groups<'a> {
    fn new(totals: &'a Totals) -> Self {
        let mut made = Self {
            totals,
            places: HashMap::new(),
            all: Vec::new(),
            bytes: 0,
            key: Vec::new(),
        };
        if totals.groups.is_empty() {
            made.all.push(made.group(Vec::new()));
        }
        made
    }

    fn group(&self, values: Vec<Scalar>) -> Group {
        Group {
            values,
            totals: vec![Total::default(); self.totals.items.len()],
        }
    }

    /// The group of a row.
    fn of(&mut self, cells: &[Option<&Cells>], row: usize) -> Result<usize, Unlike> {
        if cells.is_empty() {
            return Ok(0);
        }
        self.key.clear();
        for cells in cells {
            match cells.map_or(ScalarRef::Null, |cells| cells.get(row)) {
                ScalarRef::Null => self.key.push(0),
                ScalarRef::Integer(whole) => {
                    self.key.push(1);
                    self.key.extend_from_slice(&whole.to_be_bytes());
                }
                ScalarRef::Text(text) => {
                    self.key.push(2);
                    self.key
                        .extend_from_slice(&(text.len() as u64).to_be_bytes());
                    self.key.extend_from_slice(text.as_bytes());
                }
                ScalarRef::Real(_) | ScalarRef::Blob(_) => return Err(Unlike),
            }
        }
        if let Some(place) = self.places.get(&self.key) {
            return Ok(*place);
        }
        let of_group = size_of::<Group>() + self.totals.items.len() * size_of::<Total>();
        self.bytes += 2 * self.key.len() + of_group;
        if self.all.len() >= GROUPS_MAX || self.bytes > GROUPS_BYTES_MAX {
            return Err(Unlike);
        }
        let place = self.all.len();
        let values = cells.iter().map(|cells| {
            let cells = cells.as_ref();
            cells.map_or(Scalar::Null, |cells| cells.get(row).to_scalar())
        });
        self.all.push(self.group(values.collect()));
        self.places.insert(self.key.clone(), place);
        Ok(place)
    }

    /// Adds rows of a leaf.
    fn add(&mut self, leaf: &LeafRows, rows: &[u16]) -> Result<(), Unlike> {
        let totals = self.totals;
        let by: Vec<Option<&Cells>> = totals
            .groups
            .iter()
            .map(|(at, _)| leaf.column(*at))
            .collect();
        let mut of_row = Vec::with_capacity(rows.len());
        for row in rows {
            of_row.push(self.of(&by, usize::from(*row))?);
        }
        for (place, item) in totals.items.iter().enumerate() {
            let Item::Total(function, column) = item else {
                continue;
            };
            let cells = column.and_then(|column| leaf.column(column));
            for (row, group) in rows.iter().zip(&of_row) {
                let total = &mut self.all[*group].totals[place];
                match (column, cells) {
                    (None, _) => total.count += 1,
                    (Some(_), Some(cells)) => {
                        self.bytes += total.add(*function, cells.get(usize::from(*row)))?;
                    }
                    (Some(_), None) => return Err(Unlike),
                }
            }
        }
        if self.bytes > GROUPS_BYTES_MAX {
            return Err(Unlike);
        }
        Ok(())
    }

    /// A row for each group, in the order of their values.
    fn rows(mut self) -> Result<Vec<Vec<Scalar>>, Unlike> {
        let totals = self.totals;
        self.all
            .sort_by(|one, two| in_order(totals, &one.values, &two.values));
        let row = |group: Group| {
            let totals = self.totals.items.iter().zip(group.totals);
            let values = totals.map(|(item, total)| match item {
                Item::Group(at) => Ok(group.values.get(*at).cloned().unwrap_or_default()),
                Item::Total(function, _) => total.value(*function),
            });
            values.collect::<Result<Vec<Scalar>, Unlike>>()
        };
        self.all.into_iter().map(row).collect()
    }
}

/// The totals of what a scan passes. None where the engine would compute in another way.
pub(crate) fn of_scan(
    mut scan: LeafScan,
    totals: &Totals,
) -> Result<Option<Vec<Vec<Scalar>>>, TableError> {
    let mut groups = Groups::new(totals);
    while let Some((leaf, rows)) = scan.next_rows()? {
        if groups.add(leaf, rows).is_err() {
            return Ok(None);
        }
    }
    Ok(groups.rows().ok())
}

/// The columns that totals are of.
pub(crate) fn used(totals: &Totals) -> ColumnSet {
    let items = totals.items.iter().filter_map(|item| match item {
        Item::Total(_, column) => *column,
        Item::Group(_) => None,
    });
    let columns = items.chain(totals.groups.iter().map(|(column, _)| *column));
    columns.fold(ColumnSet::NONE, ColumnSet::with)
}

impl Records {
    /// A way to totals that are what the engine would compute; none if there is none.
    pub(crate) fn totals_way(&self, totals: &Totals) -> Option<Way> {
        let inner = self.inner();
        // Who does not see everything, and what is only staged: row by row.
        if !inner.visibility.sees_all() || inner.snapshot.view().has_staged() {
            return None;
        }
        let way = way(&inner.snapshot, &inner.kind, &inner.prefix, totals)?;
        // Where a key or an index finds the rows, or the least of them, the engine is faster.
        let is_scan = matches!(way, Way::Scan);
        (!is_scan || self.is_best_scanned(totals)).then_some(way)
    }
}
