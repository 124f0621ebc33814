//! Results as Arrow and Parquet, read by other readers and by our own; and Parquet that others wrote.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use allod_adapters::{ColumnForm, ColumnWriter, ParquetTable, find_parquet};
use allod_sql::{ResultColumn, Scalar};
use arrow_array::cast::AsArray as _;
use arrow_array::types::{Float64Type, Int64Type};
use arrow_array::{
    Array, ArrayRef, Date32Array, Decimal128Array, Int8Array, ListArray, RecordBatch,
    TimestampMicrosecondArray, UInt64Array,
};
use arrow_ipc::reader::FileReader;
use arrow_schema::{DataType, Field, Schema};
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use proptest::collection::vec;
use proptest::prelude::*;

use crate::world::session;

fn columns(of: &[(&str, Option<&str>)]) -> Vec<ResultColumn> {
    let column = |(name, declared): &(&str, Option<&str>)| ResultColumn {
        name: (*name).to_owned(),
        declared: declared.map(str::to_owned),
    };
    of.iter().map(column).collect()
}

fn write(
    path: &Path,
    form: ColumnForm,
    columns: &[ResultColumn],
    rows: &[Vec<Scalar>],
) -> Result<u64, allod_adapters::AdapterError> {
    let mut writer = ColumnWriter::new(path, form, columns)?;
    for row in rows {
        writer.row(row)?;
    }
    writer.finish()
}

/// The batches of a file, as the library that defines the form reads them.
fn batches(path: &Path, form: ColumnForm) -> (Arc<Schema>, Vec<RecordBatch>) {
    let file = File::open(path).unwrap();
    match form {
        ColumnForm::Arrow => {
            let reader = FileReader::try_new(file, None).unwrap();
            (reader.schema(), reader.map(Result::unwrap).collect())
        }
        ColumnForm::Parquet => {
            let builder = ParquetRecordBatchReaderBuilder::try_new(file).unwrap();
            let schema = Arc::clone(builder.schema());
            (
                schema,
                builder.build().unwrap().map(Result::unwrap).collect(),
            )
        }
    }
}

fn scalar(array: &dyn Array, row: usize) -> Scalar {
    if array.is_null(row) {
        return Scalar::Null;
    }
    match array.data_type() {
        DataType::Boolean => i64::from(array.as_boolean().value(row)).into(),
        DataType::Int64 => array.as_primitive::<Int64Type>().value(row).into(),
        DataType::Float64 => array.as_primitive::<Float64Type>().value(row).into(),
        DataType::Utf8 => array.as_string::<i32>().value(row).into(),
        DataType::Binary => array.as_binary::<i32>().value(row).to_vec().into(),
        other => panic!("{other}"),
    }
}

fn read(path: &Path, form: ColumnForm) -> Vec<Vec<Scalar>> {
    let mut rows = Vec::new();
    for batch in batches(path, form).1 {
        for row in 0..batch.num_rows() {
            let values = batch.columns().iter().map(|it| scalar(it.as_ref(), row));
            rows.push(values.collect());
        }
    }
    rows
}

fn names(dir: &Path) -> Vec<PathBuf> {
    let all = std::fs::read_dir(dir).unwrap();
    all.map(|it| it.unwrap().file_name().into()).collect()
}

const FORMS: [ColumnForm; 2] = [ColumnForm::Arrow, ColumnForm::Parquet];

#[test]
fn columns_are_what_was_declared_or_else_what_values_are() {
    use DataType::{Binary, Boolean, Float64, Int64, Utf8};

    let dir = tempfile::tempdir().unwrap();
    let declared = columns(&[
        ("flag", Some("BOOLEAN")),
        ("i", Some("INTEGER")),
        ("t", Some("TEXT")),
        ("j", Some("JSON TEXT")),
        ("n", Some("NUMERIC")),
        ("e", None),
        ("b", Some("")),
        ("none", None),
        ("late", None),
    ]);
    let null = Scalar::Null;
    let mut rows = vec![
        vec![
            1.into(),
            i64::MAX.into(),
            "x".into(),
            "[1]".into(),
            1.into(),
            2.into(),
            vec![0, 255].into(),
            null.clone(),
            null.clone(),
        ],
        vec![
            0.into(),
            null.clone(),
            "".into(),
            null.clone(),
            0.5.into(),
            3.into(),
            null.clone(),
            null.clone(),
            null.clone(),
        ],
    ];
    // More than a batch, and one column is seen to be of texts behind that.
    rows.extend(vec![vec![null.clone(); 9]; 9000]);
    rows.push(vec![
        null.clone(),
        null.clone(),
        null.clone(),
        null.clone(),
        null.clone(),
        null.clone(),
        null.clone(),
        null.clone(),
        "z".into(),
    ]);
    for form in FORMS {
        let path = dir.path().join("out");
        assert_eq!(write(&path, form, &declared, &rows).unwrap(), 9003);
        let (schema, batches) = batches(&path, form);
        let kinds: Vec<&DataType> = schema.fields().iter().map(|it| it.data_type()).collect();
        assert_eq!(
            kinds,
            [
                &Boolean, &Int64, &Utf8, &Utf8, &Float64, &Int64, &Binary, &Utf8, &Utf8
            ]
        );
        if form == ColumnForm::Arrow {
            let sizes: Vec<usize> = batches.iter().map(RecordBatch::num_rows).collect();
            assert_eq!(sizes, [8192, 811]);
        }
        let mut expected = rows.clone();
        expected[0][4] = 1.0.into();
        assert_eq!(read(&path, form), expected);
        assert_eq!(names(dir.path()), [PathBuf::from("out")]);
    }
}

#[test]
fn a_value_of_another_kind_is_told_with_its_row_and_nothing_is_written() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("out");
    std::fs::write(&path, "before").unwrap();
    let beyond = (1_i64 << 53) + 1;
    for (declared, values, words) in [
        (
            None,
            vec![1.into(), "x".into()],
            "row 2, column c: the text \"x\" among whole numbers",
        ),
        (
            None,
            vec!["x".into(), Scalar::Null, 1.5.into()],
            "row 3, column c: 1.5 among texts",
        ),
        (None, vec![Scalar::from(vec![1]), "x".into()], "among bytes"),
        (
            None,
            vec![0.5.into(), beyond.into()],
            "9007199254740993 in row 2",
        ),
        (
            None,
            vec![beyond.into(), 1.into(), 0.5.into()],
            "9007199254740993 in row 1",
        ),
        (
            Some("INTEGER"),
            vec![1.into(), 1.5.into()],
            "row 2, column c: 1.5 among whole numbers",
        ),
        (Some("TEXT"), vec![1.into()], "row 1"),
        (Some("BOOLEAN"), vec![2.into()], "2 among booleans"),
        (Some("REAL"), vec![beyond.into()], "9007199254740993"),
    ] {
        let declared = columns(&[("c", declared)]);
        let rows: Vec<Vec<Scalar>> = values.into_iter().map(|it| vec![it]).collect();
        for form in FORMS {
            let error = write(&path, form, &declared, &rows).unwrap_err();
            assert_eq!(error.code(), "E_TAB_VALUE");
            let text = error.to_string();
            assert!(text.contains(words) && text.contains("CAST"), "{text}");
        }
    }
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "before");
    let error = write(&dir.path().join("none/out"), FORMS[0], &[], &[]).unwrap_err();
    assert_eq!(error.code(), "E_TAB_SOURCE");
    assert_eq!(names(dir.path()), [PathBuf::from("out")]);
}

#[test]
fn only_files_are_replaced() {
    let dir = tempfile::tempdir().unwrap();
    let (path, link) = (dir.path().join("out"), dir.path().join("link"));
    std::fs::write(&path, "before").unwrap();
    std::os::unix::fs::symlink(&path, &link).unwrap();
    let rows = [vec![1.into()]];
    for form in FORMS {
        write(&link, form, &columns(&[("a", None)]), &rows).unwrap();
        assert_eq!(read(&path, form), rows);
        assert!(link.symlink_metadata().unwrap().is_symlink());
        for no_file in [dir.path(), Path::new("/dev/null"), Path::new("/")] {
            let error = write(no_file, form, &columns(&[("a", None)]), &rows).unwrap_err();
            assert!(error.to_string().ends_with("is not a file"), "{error}");
        }
    }
}

#[test]
fn no_rows_are_a_file_too() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("out");
    for form in FORMS {
        let declared = columns(&[("a", Some("INTEGER")), ("b", None)]);
        assert_eq!(write(&path, form, &declared, &[]).unwrap(), 0);
        let (schema, _) = batches(&path, form);
        assert_eq!(*schema.field(0).data_type(), DataType::Int64);
        assert!(read(&path, form).is_empty());
    }
}

fn ask(path: &Path, sql: &str) -> Vec<Vec<Scalar>> {
    let table = ParquetTable::new(path, find_parquet(path).unwrap().columns);
    let mut session = session(Arc::new(table));
    session.prepare(sql).unwrap().rows(&[]).unwrap()
}

/// A file of one row and a null for each kind of column.
fn kinds(path: &Path) {
    let list = ListArray::from_iter_primitive::<Int64Type, _, _>(vec![Some(vec![Some(1)]), None]);
    let at = TimestampMicrosecondArray::from(vec![Some(1_500_000), None]);
    let arrays: Vec<(&str, ArrayRef)> = vec![
        ("i8", Arc::new(Int8Array::from(vec![Some(-5), None]))),
        (
            "u64",
            Arc::new(UInt64Array::from(vec![Some(1 << 62), None])),
        ),
        ("day", Arc::new(Date32Array::from(vec![Some(0), None]))),
        ("utc", Arc::new(at.clone().with_timezone("UTC"))),
        ("local", Arc::new(at)),
        (
            "price",
            Arc::new(
                Decimal128Array::from(vec![Some(-1250), None])
                    .with_precision_and_scale(10, 2)
                    .unwrap(),
            ),
        ),
        ("list", Arc::new(list)),
    ];
    let batch = RecordBatch::try_from_iter(arrays).unwrap();
    let mut writer =
        ArrowWriter::try_new(File::create(path).unwrap(), batch.schema(), None).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
}

#[test]
fn parquet_of_others_is_a_table() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("others.parquet");
    kinds(&path);
    let found = find_parquet(&path).unwrap();
    assert_eq!(found.rows, 2);
    assert_eq!(found.left_out.len(), 1, "{:?}", found.left_out);
    assert!(found.left_out[0].starts_with("\"list\" (List"));
    let rows = ask(&path, "SELECT * FROM t");
    let expected: [Scalar; 6] = [
        (-5).into(),
        (1_i64 << 62).into(),
        "1970-01-01".into(),
        "1970-01-01T00:00:01.500000Z".into(),
        "1970-01-01T00:00:01.500000".into(),
        "-12.50".into(),
    ];
    assert_eq!(rows, [expected.to_vec(), vec![Scalar::Null; 6]]);
    let some = ask(&path, "SELECT count(*), max(price), min(i8) FROM t");
    assert_eq!(
        some,
        [[2.into(), "-12.50".into(), (-5).into()] as [Scalar; 3]]
    );
    // Joins look rows up, as in text.
    let joined = ask(&path, "SELECT b.day FROM t a JOIN t b ON a.i8 = b.i8");
    assert_eq!(joined, [["1970-01-01".into()] as [Scalar; 1]]);
}

#[test]
fn what_is_no_parquet_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("bad.parquet");
    kinds(&path);
    let whole = std::fs::read(&path).unwrap();
    let columns = find_parquet(&path).unwrap().columns;
    for bytes in [&whole[..whole.len() - 1], b"PAR1", b""] {
        std::fs::write(&path, bytes).unwrap();
        let error = find_parquet(&path).unwrap_err();
        assert_eq!(error.code(), "E_TAB_SOURCE");
        assert!(error.to_string().starts_with("Parquet /"), "{error}");
    }
    assert_eq!(find_parquet(dir.path()).unwrap_err().code(), "E_TAB_SOURCE");
    // A number beyond those of tables, and columns that are others now.
    let wrong = |array: ArrayRef, name: &str| {
        let schema = Schema::new(vec![Field::new(name, array.data_type().clone(), true)]);
        let batch = RecordBatch::try_new(Arc::new(schema), vec![array]).unwrap();
        let mut writer =
            ArrowWriter::try_new(File::create(&path).unwrap(), batch.schema(), None).unwrap();
        writer.write(&batch).unwrap();
        writer.close().unwrap();
        let mut session = session(Arc::new(ParquetTable::new(&path, columns.clone())));
        session
            .prepare("SELECT u64 FROM t")
            .unwrap()
            .rows(&[])
            .unwrap_err()
            .to_string()
    };
    let error = wrong(Arc::new(UInt64Array::from(vec![1, u64::MAX])), "u64");
    assert!(
        error.contains("line 2") && error.contains("E_TAB_VALUE"),
        "{error}"
    );
    let error = wrong(Arc::new(Date32Array::from(vec![1])), "u64");
    assert!(error.contains("is Date32 now, and no integer"), "{error}");
    let error = wrong(Arc::new(UInt64Array::from(vec![1])), "v");
    assert!(error.contains("\"u64\" is missing"), "{error}");
}

fn value(kind: u8) -> BoxedStrategy<Scalar> {
    let some = match kind {
        0 => any::<i64>().prop_map(Scalar::Integer).boxed(),
        1 => any::<f64>()
            .prop_filter("no NaN", |it| !it.is_nan())
            .prop_map(Scalar::Real)
            .boxed(),
        2 => any::<String>().prop_map(Scalar::Text).boxed(),
        _ => any::<Vec<u8>>().prop_map(Scalar::Blob).boxed(),
    };
    prop_oneof![4 => some, 1 => Just(Scalar::Null)].boxed()
}

fn tables() -> impl Strategy<Value = (usize, Vec<Vec<Scalar>>)> {
    vec(0_u8..4, 1..5).prop_flat_map(|kinds| {
        let row: Vec<_> = kinds.iter().map(|kind| value(*kind)).collect();
        (Just(kinds.len()), vec(row, 0..40))
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(50))]

    #[test]
    fn what_was_written_is_read((width, rows) in tables(), is_arrow: bool) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("out");
        let form = if is_arrow { ColumnForm::Arrow } else { ColumnForm::Parquet };
        let names: Vec<String> = (0..width).map(|at| format!("c{at}")).collect();
        let names: Vec<(&str, Option<&str>)> = names.iter().map(|it| (it.as_str(), None)).collect();
        write(&path, form, &columns(&names), &rows).unwrap();
        prop_assert_eq!(&read(&path, form), &rows);
        if !is_arrow {
            // Our own reader has the same.
            prop_assert_eq!(ask(&path, "SELECT * FROM t"), rows);
        }
    }
}

/// A file with a byte that is another is read, or refused.
#[test]
fn damaged_parquet_is_an_error_or_other_rows() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("damaged.parquet");
    kinds(&path);
    let whole = std::fs::read(&path).unwrap();
    let mut refused = 0;
    for at in 0..whole.len() {
        let mut bytes = whole.clone();
        bytes[at] ^= 1 << (at % 8);
        std::fs::write(&path, &bytes).unwrap();
        let Ok(found) = find_parquet(&path) else {
            refused += 1;
            continue;
        };
        let mut session = session(Arc::new(ParquetTable::new(&path, found.columns)));
        let mut statement = session.prepare("SELECT * FROM t").unwrap();
        refused += usize::from(statement.rows(&[]).is_err());
    }
    assert!(refused > whole.len() / 10, "{refused} of {}", whole.len());
}

/// What others make of the files: pyarrow, if it is there.
#[test]
fn pyarrow_reads_what_was_written() {
    let dir = tempfile::tempdir().unwrap();
    let python = std::env::var("ALLOD_PYARROW").unwrap_or_else(|_| "python3".to_owned());
    let is_there = Command::new(&python)
        .args(["-c", "import pyarrow"])
        .output()
        .is_ok_and(|done| done.status.success());
    if !is_there {
        println!("SKIPPED: {python} has no pyarrow; ALLOD_PYARROW names a Python that has");
        return;
    }
    let declared = columns(&[
        ("i", Some("INTEGER")),
        ("r", None),
        ("t", None),
        ("b", None),
        ("f", Some("BOOLEAN")),
    ]);
    let rows = [
        vec![
            i64::MIN.into(),
            0.5.into(),
            "\u{fc}".into(),
            vec![0, 255].into(),
            1.into(),
        ],
        vec![
            Scalar::Null,
            Scalar::Null,
            Scalar::Null,
            Scalar::Null,
            Scalar::Null,
        ],
    ];
    let (arrow, parquet) = (dir.path().join("a.arrow"), dir.path().join("a.parquet"));
    write(&arrow, ColumnForm::Arrow, &declared, &rows).unwrap();
    write(&parquet, ColumnForm::Parquet, &declared, &rows).unwrap();
    let back = dir.path().join("back.parquet");
    let program = "
import sys, pyarrow as pa, pyarrow.ipc, pyarrow.parquet as pq
one = pa.ipc.open_file(sys.argv[1]).read_all()
two = pq.read_table(sys.argv[2])
assert one.schema.types == [pa.int64(), pa.float64(), pa.string(), pa.binary(), pa.bool_()], one.schema
assert one.equals(two), (one, two)
assert one.to_pylist()[0] == {'i': -2**63, 'r': 0.5, 't': '\\u00fc', 'b': b'\\x00\\xff', 'f': True}
assert all(value is None for value in one.to_pylist()[1].values())
pq.write_table(two.append_column('c', pa.array(['x', 'y']).dictionary_encode()), sys.argv[3])
";
    let done = Command::new(&python)
        .args(["-c", program])
        .args([&arrow, &parquet, &back])
        .output()
        .unwrap();
    assert!(
        done.status.success(),
        "{}",
        String::from_utf8_lossy(&done.stderr)
    );
    let found = find_parquet(&back).unwrap();
    assert!(found.left_out.is_empty(), "{:?}", found.left_out);
    let mut expected = rows.to_vec();
    expected[0].push("x".into());
    expected[1].push("y".into());
    assert_eq!(ask(&back, "SELECT * FROM t"), expected);
}
