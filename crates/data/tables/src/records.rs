//! The records of a type as a table (TAB-2 to TAB-8).

use std::sync::{Arc, OnceLock};

use allod_repo::{Repo, Span, View};
use allod_sql::{
    Arg, Ask, Column, Comparison, Constraint, Function, Identity, Item, OnConflict, Op, Open, Plan,
    Rows, Scalar, ScalarRef, ShouldStop, Table, TableError, Totals, glob_range, like_range,
};
use allod_tree::Leaf;
use allod_views::{FieldKind, Lookup, Name, Projected, Snapshot, Type, Value};
use bytes::Bytes;
use sha2::{Digest as _, Sha256};

use crate::columns::{FIELDS, ID, KEY, columns_of, width_of};
use crate::convert::{Wanted, wanted};
use crate::fault::fault;
use crate::filter::Filter;
use crate::kept::{Kept, LeafName};
use crate::plan::{BY_KEY, FIRST_INDEX, KEY_RANGE, SCAN, Way, Ways};
use crate::projected::computed;
use crate::rows::{LeafScan, ListRows};
use crate::totals;
use crate::visibility::Visibility;
use crate::write::{Target, Writes};

/// The records of a type in one state.
pub(crate) struct Records {
    inner: Arc<Inner>,
    columns: Vec<Column>,
    ways: Vec<Way>,
    rows: u64,
    writes: Option<Writes>,
}

/// What rows share with their table.
pub(crate) struct Inner {
    pub(crate) snapshot: Snapshot,
    pub(crate) kind: Arc<Type>,
    pub(crate) prefix: Vec<u8>,
    /// What a leaf is read as: the digest of the prefix and the type.
    reading: [u8; 32],
    pub(crate) kept: Kept,
    pub(crate) visibility: Arc<dyn Visibility>,
    indexes: Vec<(Name, OnceLock<Projected>)>,
}

impl Inner {
    pub(crate) fn repo(&self) -> &Repo {
        self.snapshot.repo()
    }

    /// What a leaf is kept under.
    pub(crate) fn leaf_name(&self, leaf: &Leaf) -> LeafName {
        let digest = leaf.cid().hash().digest();
        (digest.try_into().unwrap_or_default(), self.reading)
    }

    /// How many columns there are.
    pub(crate) fn width(&self) -> usize {
        width_of(&self.kind)
    }

    /// The digest of what a stored column is called (TAB-19).
    pub(crate) fn column_name(&self, format: &[u8], column: usize) -> [u8; 32] {
        let digest = Sha256::new()
            .chain_update(format)
            .chain_update(self.reading)
            .chain_update((column as u64).to_be_bytes())
            .finalize();
        digest.into()
    }

    pub(crate) const fn view(&self) -> &View {
        self.snapshot.view()
    }
}

impl Records {
    pub(crate) fn new(
        snapshot: &Snapshot,
        (name, kind): (&Name, &Arc<Type>),
        kept: &Kept,
        visibility: &Arc<dyn Visibility>,
        writes: Option<Writes>,
    ) -> Result<Self, TableError> {
        let prefix = format!("{name}:").into_bytes();
        let columns = columns_of(kind);
        let mut ways = Vec::new();
        let mut indexes = Vec::new();
        for (called, projection) in snapshot.projections().projections() {
            let definition = projection.definition();
            let of_type = definition.source.as_bytes() == [&prefix[..], b"*"].concat();
            if !of_type || definition.filter.is_some() {
                continue;
            }
            let Some(fields) = projection.index_fields() else {
                continue;
            };
            let Some((columns, kinds)) = usable(&fields, kind) else {
                continue;
            };
            let is_near = snapshot.is_fresh(called).map_err(fault)?
                || snapshot.is_derivable(called).map_err(fault)?;
            ways.push(Way {
                name: called.to_string(),
                columns,
                kinds,
                is_near,
            });
            indexes.push((called.clone(), OnceLock::new()));
        }
        let rows = snapshot
            .view()
            .count(&Span::prefix(&prefix))
            .map_err(fault)?;
        let inner = Inner {
            snapshot: snapshot.clone(),
            reading: reading_of(kind, &prefix),
            kind: Arc::clone(kind),
            prefix,
            kept: kept.clone(),
            visibility: Arc::clone(visibility),
            indexes,
        };
        Ok(Self {
            inner: Arc::new(inner),
            columns,
            ways,
            rows,
            writes,
        })
    }

    /// Whether totals come fastest of all records.
    pub(crate) fn is_best_scanned(&self, totals: &Totals) -> bool {
        let constraint = |filter: &Comparison| Constraint {
            column: Some(filter.column),
            op: filter.op,
            value: Some(filter.value.clone()),
            is_list: false,
        };
        let constraints: Vec<Constraint> = totals.filters.iter().map(constraint).collect();
        let plan = self.plan(&Ask {
            constraints: &constraints,
            order_by: &[],
            used: totals::used(totals),
        });
        let is_extreme = |item: &Item| match item {
            Item::Total(Function::Min | Function::Max, Some(column)) => {
                let mut near = self.ways.iter().filter(|way| way.is_near);
                near.any(|way| way.columns.first() == Some(column))
            }
            _ => false,
        };
        let is_lone = matches!(&totals.items[..], [item] if is_extreme(item));
        plan.number == SCAN && !(is_lone && totals.groups.is_empty())
    }

    pub(crate) fn inner(&self) -> &Inner {
        &self.inner
    }

    /// The keys that args on the key and the ID leave.
    fn keys(&self, args: &[Arg<'_>]) -> (Vec<u8>, Option<Vec<u8>>) {
        let prefix = &self.inner.prefix;
        let (mut low, mut high) = (prefix.clone(), allod_tree::prefix_end(prefix));
        for arg in args {
            let (Some(column @ (KEY | ID)), ScalarRef::Text(text)) = (arg.column, arg.value) else {
                continue;
            };
            let whole = |bytes: &[u8]| match column {
                KEY => bytes.to_vec(),
                _ => [prefix, bytes].concat(),
            };
            let (from, to) = match arg.op {
                Op::Gt | Op::Ge => (Some(whole(text.as_bytes())), None),
                Op::Lt | Op::Le => (None, Some([&whole(text.as_bytes())[..], &[0]].concat())),
                Op::Like | Op::Glob => {
                    let range = if arg.op == Op::Like {
                        like_range(text)
                    } else {
                        glob_range(text)
                    };
                    match range {
                        Some(range) => (Some(whole(&range.start)), Some(whole(&range.end))),
                        None => (None, None),
                    }
                }
                _ => (None, None),
            };
            low = from.map_or(low.clone(), |from| from.max(low));
            high = match (to, high) {
                (Some(to), Some(high)) => Some(to.min(high)),
                (to, high) => to.or(high),
            };
        }
        (low, high)
    }

    fn scan(&self, open: &Open<'_>) -> Box<dyn Rows> {
        let (low, high) = self.keys(open.args);
        let filters = open.args.iter().filter_map(|arg| {
            let column = arg.column.filter(|column| *column < self.columns.len())?;
            Filter::new(column, arg.op, arg.value)
        });
        let filters: Vec<Filter> = filters.collect();
        let used = open.used;
        if self.inner.view().has_staged() {
            let span = Span {
                from: Some(low),
                to: high,
            };
            let items = self.inner.view().range(&span, false);
            let inner = Arc::clone(&self.inner);
            let records = items.map(move |item| {
                let (key, entry) = item.map_err(fault)?;
                let content = inner.repo().content(&entry).map_err(fault)?;
                Ok((key, content))
            });
            return Box::new(ListRows::new(&self.inner, used, Box::new(records)));
        }
        let inner = Arc::clone(&self.inner);
        // The engine names the key whether it reads it or not: if it does, it is had from the leaf.
        let what = (used.without(KEY), filters);
        Box::new(LeafScan::new(inner, what, (low, high), open.stop))
    }

    fn by_key(&self, open: &Open<'_>) -> Result<Box<dyn Rows>, TableError> {
        let arg = open.args.first();
        let key = match arg.map(|arg| (arg.column, arg.value)) {
            Some((Some(KEY), ScalarRef::Text(text))) => Some(text.as_bytes().to_vec()),
            Some((Some(ID), ScalarRef::Text(text))) => {
                Some([&self.inner.prefix[..], text.as_bytes()].concat())
            }
            _ => None,
        };
        let key = key.filter(|key| key.starts_with(&self.inner.prefix));
        let found = match key {
            None => None,
            Some(key) => {
                let content = self.inner.view().get(&key).map_err(fault)?;
                Some(Ok((Bytes::from(key), content)))
            }
        };
        Ok(Box::new(ListRows::new(
            &self.inner,
            open.used,
            Box::new(found.into_iter()),
        )))
    }

    fn by_index(&self, index: usize, open: &Open<'_>) -> Result<Box<dyn Rows>, TableError> {
        let known = self.ways.get(index).zip(self.inner.indexes.get(index));
        let Some((way, (name, kept))) = known else {
            return Err(TableError::Fault {
                code: "E_FAULT",
                message: "a plan of another table".to_owned(),
            });
        };
        let projected = match kept.get() {
            Some(projected) => projected.clone(),
            None => {
                let made = computed(&self.inner.snapshot, name, open)?;
                kept.get_or_init(|| made).clone()
            }
        };
        let (first, low, high) = range(way, open.args);
        let reverse = open.order_by.first().is_some_and(|first| first.descending);
        let lookup = Lookup {
            first: &first,
            low: low.as_ref(),
            high: high.as_ref(),
            reverse,
        };
        let mut scan = projected.look_up(&lookup).map_err(fault)?;
        let inner = Arc::clone(&self.inner);
        let records = std::iter::from_fn(move || {
            let record = match scan.next() {
                Ok(entry) => Bytes::copy_from_slice(entry?.record),
                Err(error) => return Some(Err(fault(error))),
            };
            Some(
                inner
                    .view()
                    .get(&record)
                    .map(|content| (record, content))
                    .map_err(fault),
            )
        });
        Ok(Box::new(ListRows::new(
            &self.inner,
            open.used,
            Box::new(records),
        )))
    }
}

impl Table for Records {
    fn columns(&self) -> &[Column] {
        &self.columns
    }

    fn identity(&self) -> Identity {
        Identity::Key(KEY)
    }

    fn plan(&self, ask: &Ask<'_>) -> Plan {
        let ways = Ways {
            rows: self.rows,
            indexes: &self.ways,
            width: self.columns.len(),
        };
        ways.plan(ask)
    }

    fn open(&self, open: &Open<'_>) -> Result<Box<dyn Rows>, TableError> {
        match open.plan.number {
            SCAN | KEY_RANGE => Ok(self.scan(open)),
            BY_KEY => self.by_key(open),
            number => {
                let index = usize::try_from(number - FIRST_INDEX).unwrap_or(usize::MAX);
                self.by_index(index, open)
            }
        }
    }

    fn totals_plan(&self, wanted: &Totals) -> Option<String> {
        Some(self.totals_way(wanted)?.shown())
    }

    fn totals(
        &self,
        wanted: &Totals,
        stop: &ShouldStop,
    ) -> Result<Option<Vec<Vec<Scalar>>>, TableError> {
        match self.totals_way(wanted) {
            None => Ok(None),
            Some(totals::Way::Projection(kept)) => totals::of_projection(
                &self.inner.snapshot,
                (&kept, wanted),
                &self.inner.visibility,
                stop,
            ),
            Some(totals::Way::Scan) => {
                let filter = |it: &Comparison| Filter::new(it.column, it.op, it.value.borrow());
                let filters = wanted.filters.iter().map(filter);
                let Some(filters) = filters.collect::<Option<Vec<Filter>>>() else {
                    return Ok(None);
                };
                let bounds = self.keys(&[]);
                let inner = Arc::clone(&self.inner);
                let used = totals::used(wanted);
                let scan = LeafScan::new(inner, (used, filters), bounds, stop);
                totals::of_scan(scan, wanted)
            }
        }
    }

    fn insert(&self, row: &[ScalarRef<'_>], conflict: OnConflict) -> Result<i64, TableError> {
        self.writes()?.insert(&self.target(), row, conflict)?;
        Ok(0)
    }

    fn update(
        &self,
        id: ScalarRef<'_>,
        row: &[Option<ScalarRef<'_>>],
        conflict: OnConflict,
    ) -> Result<(), TableError> {
        self.writes()?.update(&self.target(), id, row, conflict)
    }

    fn delete(&self, id: ScalarRef<'_>) -> Result<(), TableError> {
        self.writes()?.delete(&self.target(), id)
    }

    fn begin(&self) -> Result<(), TableError> {
        self.writes()?.begin(self.inner.view())
    }

    fn commit(&self) -> Result<(), TableError> {
        self.writes()?.commit()
    }

    fn rollback(&self) {
        if let Some(writes) = &self.writes {
            writes.rollback();
        }
    }
}

impl Records {
    fn writes(&self) -> Result<&Writes, TableError> {
        self.writes.as_ref().ok_or(TableError::ReadOnly)
    }

    fn target(&self) -> Target<'_> {
        Target {
            kind: &self.inner.kind,
            prefix: &self.inner.prefix,
            view: self.inner.view(),
            visibility: &*self.inner.visibility,
        }
    }
}

/// Of what an index is in the order of, the columns and their kinds; none if one of them is no field with one
/// value.
fn usable(fields: &[Option<&str>], kind: &Type) -> Option<(Vec<usize>, Vec<FieldKind>)> {
    let all = &kind.definition().fields;
    let column = |name: Option<&str>| {
        let place = all
            .iter()
            .position(|field| Some(field.name.as_str()) == name)?;
        (!all[place].list).then(|| (place + FIELDS, all[place].kind.clone()))
    };
    fields.iter().copied().map(column).collect()
}

/// The name of how leaves are read.
fn reading_of(kind: &Type, prefix: &[u8]) -> [u8; 32] {
    let digest = Sha256::new()
        .chain_update((prefix.len() as u64).to_be_bytes())
        .chain_update(prefix)
        .chain_update(kind.encode())
        .finalize();
    digest.into()
}

/// First values, and bounds of the next, of what args leave of an index.
fn range(way: &Way, args: &[Arg<'_>]) -> (Vec<Value>, Option<Value>, Option<Value>) {
    let mut first = Vec::new();
    for (column, kind) in way.columns.iter().zip(&way.kinds) {
        let of_column = args.iter().filter(|arg| arg.column == Some(*column));
        let (mut low, mut high) = (None, None);
        let mut equal = None;
        for arg in of_column {
            match wanted(kind, arg.op, arg.value) {
                Some(Wanted::Equal(value)) => equal = Some(value),
                Some(Wanted::Between(from, to)) => {
                    low = from.or(low);
                    high = to.or(high);
                }
                None => {}
            }
        }
        match equal {
            Some(value) => first.push(value),
            // Nothing compares with null, which is before all else.
            None if high.is_some() && low.is_none() => {
                return (first, Some(Value::Boolean(false)), high);
            }
            None => return (first, low, high),
        }
    }
    (first, None, None)
}
