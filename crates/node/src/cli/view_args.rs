//! What can be said about types and projections.

use std::path::PathBuf;

use clap::{ArgGroup, Args, Subcommand};

#[derive(Debug, Subcommand)]
pub(crate) enum TypeCommand {
    /// Say what the records of a kind have: the values of the keys NAME:ID; only the owner of the space may
    #[command(
        after_help = "Examples:\n  allod type define user --field id:string! --field age:integer --field 'tags:[string]'\n  \
        allod type define user --from user.schema.json\n  allod type define user --field mail:string --unique mail --rename email=mail\n\n\
        Kinds: string, number, integer, float, boolean, timestamp, bytes, ref:TYPE; [KIND] for a list; ! behind it: required.\n\
        A definition takes the place of the one before, if records that are there stay readable."
    )]
    Define(DefineType),
    /// List the types of the space
    List {
        /// As of a branch or commit: those in force there
        #[arg(long, value_name = "COMMIT")]
        at: Option<String>,
    },
    /// Show a type
    Show {
        /// Its name
        name: String,
        /// As a JSON Schema
        #[arg(long)]
        schema: bool,
        /// As of a branch or commit: as it was in force there
        #[arg(long, value_name = "COMMIT")]
        at: Option<String>,
    },
    /// Take a definition away; the records stay
    Drop {
        /// Its name
        name: String,
    },
    /// Stage every record of a type rewritten: fields computed anew, or taken away
    #[command(
        after_help = "Examples:\n  allod type migrate user --set \"name=first || ' ' || last\" --unset first --unset last\n  \
        allod type migrate item --set 'price=price / 100' --where \"currency = 'ct'\" --dry-run\n\nAll records are staged, or none. Then: allod commit -m '...'"
    )]
    Migrate(MigrateType),
    /// Tell which records are not what their type says
    Check {
        /// Of this type only
        name: Option<String>,
        /// As of a branch or commit
        #[arg(long, value_name = "COMMIT")]
        at: Option<String>,
        /// At most so many records
        #[arg(long, short = 'n', default_value_t = 100)]
        limit: usize,
    },
}

#[derive(Debug, Args)]
#[command(group(ArgGroup::new("what").args(["field", "from"]).required(true)))]
pub(crate) struct DefineType {
    /// Its name
    pub(crate) name: String,
    /// A field: NAME:KIND, with ! behind it if it is required
    #[arg(long, value_name = "NAME:KIND")]
    pub(crate) field: Vec<String>,
    /// A JSON Schema
    #[arg(long, value_name = "FILE", conflicts_with_all = ["field", "unique", "default", "rename", "check", "closed", "received"])]
    pub(crate) from: Option<PathBuf>,
    /// No two records have the same value in this field
    #[arg(long, value_name = "FIELD")]
    pub(crate) unique: Vec<String>,
    /// What is read where a record does not have the field, as JSON
    #[arg(long, value_name = "FIELD=JSON")]
    pub(crate) default: Vec<String>,
    /// What a field was called before
    #[arg(long, value_name = "OLD=NEW")]
    pub(crate) rename: Vec<String>,
    /// An expression that a record must not make false
    #[arg(long, value_name = "EXPRESSION")]
    pub(crate) check: Option<String>,
    /// Records have no other fields
    #[arg(long)]
    pub(crate) closed: bool,
    /// What is done with received records that break this: flag, quarantine or refuse
    #[arg(long, value_name = "HOW", default_value = "flag")]
    pub(crate) received: String,
    /// Fields that the former definition had may go
    #[arg(long)]
    pub(crate) drop_fields: bool,
}

#[derive(Debug, Args)]
#[command(group(ArgGroup::new("change").args(["set", "unset"]).required(true).multiple(true)))]
pub(crate) struct MigrateType {
    /// Its name
    pub(crate) name: String,
    /// A field, and what it is computed as; null takes it away
    #[arg(long, value_name = "FIELD=EXPRESSION")]
    pub(crate) set: Vec<String>,
    /// A field that goes
    #[arg(long, value_name = "FIELD")]
    pub(crate) unset: Vec<String>,
    /// Only records for which this is true
    #[arg(long = "where", value_name = "EXPRESSION")]
    pub(crate) filter: Option<String>,
    /// Show what would be staged, and stage nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ProjectionCommand {
    /// Define a projection: it belongs to each state of each branch; only the owner of the space may
    #[command(
        after_help = "Examples:\n  allod projection create users_by_role --source 'user:*' --index role\n  \
        allod projection create by_role_age --source 'user:*' --compound role,age --filter \"role != 'guest'\"\n  \
        allod projection create names --source 'user:*' --index id --computed \"full=first || ' ' || last\"\n  \
        allod projection create spent --source 'order:*' --group-by user --agg 'total=SUM(amount)' --agg 'n=COUNT(*)'\n  \
        allod projection create orders --source 'order:*' --join 'user:*' --on user --to id --computed what --fields name\n  \
        allod projection create texts --source 'note:*' --fulltext title,body"
    )]
    Create(CreateProjection),
    /// List the projections of the space, and whether they are at hand here
    List,
    /// Show how far projections are: commits whose state has them, and those that do not yet
    Status {
        /// One of them [default: all]
        name: Option<String>,
    },
    /// Compute a projection anew for all branches and commits, and wait for it
    Rebuild {
        /// Its name
        name: String,
    },
    /// Compute a projection only when somebody asks for it, until `resume NAME`
    Cancel {
        /// Its name
        name: String,
    },
    /// Compute nothing unless somebody asks for it
    Pause,
    /// Compute in the background again: everything, or one projection that was cancelled
    Resume {
        /// Its name
        name: Option<String>,
    },
    /// Check what is kept of the current state against its records, and put it right
    Check {
        /// One of them [default: all]
        name: Option<String>,
    },
    /// Fetch what a peer has computed, instead of computing it here
    #[command(
        after_help = "Examples:\n  allod projection fetch users_by_role\n  allod projection fetch users_by_role --from laptop --sample 10000\n\n\
        Entries and records that are chosen by chance are compared, so that a peer that would deceive is found: with 1000 of them one that has one entry \
        of a hundred wrong passes once in 20,000 times; with as many as there are, never. `projection check` computes all of it. What a group adds up \
        cannot be compared in part, so groups are not fetched: they are computed here."
    )]
    Fetch(FetchProjection),
    /// Take a projection away
    Drop {
        /// Its name
        name: String,
    },
    /// Print the rows of a projection
    #[command(
        after_help = "Examples:\n  allod projection query users_by_role admin\n  allod projection query by_role_age admin 30 --at v1.0\n  \
        allod projection query texts 'quick fox'\n\nValues are those that the rows begin with, in order. A number is one unless the field is a text."
    )]
    Query(QueryProjection),
    /// Print what changes in a projection: rows that come, go and change, with each commit and switch
    Watch(WatchProjection),
}

#[derive(Debug, Args)]
#[command(group(ArgGroup::new("shape").args(["index", "compound", "agg", "join", "fulltext"]).required(true).multiple(true)))]
pub(crate) struct CreateProjection {
    /// Its name
    pub(crate) name: String,
    /// The keys whose records it is of: a prefix and *
    #[arg(long, value_name = "PATTERN")]
    pub(crate) source: String,
    /// Only records for which this is true
    #[arg(long, value_name = "EXPRESSION")]
    pub(crate) filter: Option<String>,
    /// In the order of this
    #[arg(long, value_name = "EXPRESSION", conflicts_with_all = ["compound", "agg", "join", "fulltext"])]
    pub(crate) index: Option<String>,
    /// In the order of the first, then of the next
    #[arg(long, value_name = "EXPRESSION,EXPRESSION", conflicts_with_all = ["agg", "join", "fulltext"])]
    pub(crate) compound: Vec<String>,
    /// Records with the same value are one row
    #[arg(long, value_name = "[NAME=]EXPRESSION", requires = "agg")]
    pub(crate) group_by: Vec<String>,
    /// What a row of a group has: COUNT(*), COUNT, SUM, AVG, MIN or MAX of an expression
    #[arg(long, value_name = "NAME=FUNCTION(EXPRESSION)", conflicts_with_all = ["join", "fulltext", "computed"])]
    pub(crate) agg: Vec<String>,
    /// A column beside
    #[arg(long, value_name = "[NAME=]EXPRESSION")]
    pub(crate) computed: Vec<String>,
    /// The keys whose records are joined to the source
    #[arg(
        long,
        value_name = "PATTERN",
        requires = "on",
        requires = "to",
        conflicts_with = "fulltext"
    )]
    pub(crate) join: Option<String>,
    /// Of the source, what is equal
    #[arg(long, value_name = "EXPRESSION", requires = "join")]
    pub(crate) on: Option<String>,
    /// Of the other record, what is equal
    #[arg(long, value_name = "EXPRESSION", requires = "join")]
    pub(crate) to: Option<String>,
    /// Columns of the other record
    #[arg(long, value_name = "[NAME=]EXPRESSION,...", requires = "join")]
    pub(crate) fields: Vec<String>,
    /// Leave out records without a partner
    #[arg(long, requires = "join")]
    pub(crate) inner: bool,
    /// The words of these texts
    #[arg(
        long,
        value_name = "EXPRESSION,EXPRESSION",
        conflicts_with = "computed"
    )]
    pub(crate) fulltext: Vec<String>,
}

#[derive(Debug, Args)]
pub(crate) struct QueryProjection {
    /// Its name
    pub(crate) name: String,
    /// The values that rows begin with; of words, what to search for
    pub(crate) values: Vec<String>,
    /// As of a branch or commit
    #[arg(long, value_name = "COMMIT")]
    pub(crate) at: Option<String>,
    /// At most so many rows
    #[arg(long, short = 'n', default_value_t = 1000)]
    pub(crate) limit: usize,
    /// Go on behind a row: what the last page ended with
    #[arg(long, value_name = "CURSOR")]
    pub(crate) after: Option<String>,
    /// From the last to the first
    #[arg(long)]
    pub(crate) reverse: bool,
    /// Fail if the projection is not computed yet, instead of computing it
    #[arg(long)]
    pub(crate) no_wait: bool,
    /// Give up computing it after so many seconds
    #[arg(long, value_name = "SECONDS")]
    pub(crate) timeout: Option<u32>,
}

#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  allod projection watch users_by_role --since bafy...3sixm\n\nEnds with the first row that nobody takes."
)]
pub(crate) struct WatchProjection {
    /// Its name
    pub(crate) name: String,
    /// First what changed since this commit
    #[arg(long, value_name = "COMMIT")]
    pub(crate) since: Option<String>,
    /// Only what changed until now
    #[arg(long, requires = "since")]
    pub(crate) once: bool,
}

/// `projection fetch`.
#[derive(Debug, Args)]
pub(crate) struct FetchProjection {
    /// Its name
    pub(crate) name: String,
    /// From this peer: a remote, or the end of a device id [default: the first that has it]
    #[arg(long, value_name = "PEER")]
    pub(crate) from: Option<String>,
    /// As of a branch or commit
    #[arg(long, value_name = "COMMIT")]
    pub(crate) at: Option<String>,
    /// Compare so many entries, and as many records; all if there are not more
    #[arg(long, value_name = "N", default_value_t = 1000, value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) sample: u64,
}
