//! What can be said to `allod id`.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Subcommand};

#[derive(Debug, Subcommand)]
pub(crate) enum IdCommand {
    /// Show who this is: the agent, its key, devices and guardians
    Show {
        /// The DID document of the agent, as JSON
        #[arg(long)]
        did: bool,
    },
    /// The devices that act for this agent
    Device {
        #[command(subcommand)]
        command: DeviceCommand,
    },
    /// Make this device act for the agent of the device that shows this code, and fetch its spaces
    #[command(
        after_help = "Examples:\n  allod id join -\n  allod id join 0FW0-0008-Y2G0-0000-0000-0000-0G0S\n\n\
        The other device gets the code from `allod id device add`. `allod init --pair -` makes a home first.\n\
        With - the code is asked for: other users of a computer can read what is on a command line."
    )]
    Join(Join),
    /// Give the agent its next key, in the place of the present one
    #[command(
        after_help = "Do this if the key may be in other hands, and where the key log contradicts itself: what this \
        home said\nlast counts then, and what was said beside it does not. Another side is chosen with --after.\n\
        Devices stay: remove one that is in other hands with `allod id device remove`. A home that held the secret of the \
        next\nkeys can go on all the same; only guardians end that, with a recovery."
    )]
    Rotate(Rotate),
    /// Show the recovery kit: what gives the agent its next key
    #[command(
        after_help = "Examples:\n  allod id export --paper\n  allod id export --kit /media/stick/kit\n  \
        allod id export --paper --remove\n\n\
        Whoever has the kit is the agent. Keep it where the home is not, and on paper at best."
    )]
    Export(Export),
    /// Make this home, which acts for nobody yet, one of the agent of a recovery kit
    #[command(
        after_help = "Examples:\n  allod init --device-only\n  allod id import kit\n  \
        allod id import --log friend.keylog     # asks for the line on paper\n\n\
        The agent gets its next key, in the place of the one that was lost. Its devices stay until they are removed.\n\
        The key log is in the file of a kit, as it was when the kit was written; of a line on paper it is not. The newest one \
        is\nbetter: a device of the agent, or the node of a friend who shares a space with it, writes it with\n\
        `allod id log AGENT --out FILE`. Without that, devices that were added since the kit was written act no longer, and\n\
        those that were removed act again."
    )]
    Import(Import),
    /// Print the key log of an agent that is known here: nothing in it is secret
    Log {
        /// The agent [default: this home's]
        agent: Option<String>,
        /// Where to write it [default: standard output]
        #[arg(long, value_name = "FILE")]
        out: Option<PathBuf>,
    },
    /// Take in the key log of an agent from a file, so that it is known here
    Learn {
        /// The key log that `allod id log` wrote
        file: PathBuf,
    },
    /// Those who together can give the agent a new key
    Guardians {
        #[command(subcommand)]
        command: GuardiansCommand,
    },
    /// Recover an agent of which all keys are lost, with its guardians
    #[command(
        after_help = "The person who lost the keys, on a new home (`allod init --device-only`):\n  \
        allod id recover begin AGENT --log FILE   # prints a request\n  \
        allod id recover finish SAID...           # with what the guardians confirmed\n\n\
        A guardian, after the person, met or called, has read out the check code of the request:\n  \
        allod id recover approve REQUEST          # the wait begins\n  \
        allod id recover confirm REQUEST          # when it is over\n\n\
        Whoever has a device of the agent and did not ask for this:\n  \
        allod id recover object REQUEST           # for the guardians to hear"
    )]
    Recover {
        #[command(subcommand)]
        command: RecoverCommand,
    },
    /// Let another device act for this agent, without a network; writes the key log for it
    AddDevice {
        /// The device: what `allod id` prints there
        device: String,
        /// What to call it
        #[arg(long, default_value = "device")]
        name: String,
        /// Where to write the key log [default: standard output]
        #[arg(long, value_name = "FILE")]
        out: Option<PathBuf>,
    },
    /// Make this device act for the agent whose key log names it
    Adopt {
        /// The key log that `add-device` wrote
        file: PathBuf,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum DeviceCommand {
    /// List the devices
    List,
    /// Show a code for a new device, and let it in
    #[command(
        after_help = "On the new device: `allod init --pair -`. Both devices show six digits then; say yes only if \
        they are the same.\nThe code is good for 10 minutes and one device."
    )]
    Add(Add),
    /// End that a device acts for this agent, for ever
    Remove {
        /// Its name, its did:key, or the end of that
        device: String,
        /// A thief has it: what it signed last is not kept, but set aside (`allod trust held`)
        #[arg(long)]
        stolen: bool,
    },
}

#[derive(Debug, Args)]
pub(crate) struct Add {
    /// Addresses where the new device reaches this one [default: those of the running node]
    #[arg(long, value_name = "ADDR")]
    pub(crate) addr: Vec<SocketAddr>,
    /// Where to listen if no node runs on this home
    #[arg(long, default_value = "0.0.0.0:0", value_name = "ADDR")]
    pub(crate) listen: SocketAddr,
    /// Draw no QR code
    #[arg(long)]
    pub(crate) no_qr: bool,
    /// Let the device in without asking: for tests and programs that compare the digits themselves
    #[arg(long)]
    pub(crate) yes: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Join {
    /// The code, as it is shown or as the QR code has it; - reads it
    pub(crate) code: String,
    /// Do not ask whether the digits are the same: for tests and programs that compare them themselves
    #[arg(long)]
    pub(crate) yes: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Chain {
    /// A recovery kit, if the secret of the next keys is not in this home; - reads it
    #[arg(long, value_name = "FILE")]
    pub(crate) kit: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct Rotate {
    /// The event of the key log that the new key goes on from; what came after it does not count
    #[arg(long, value_name = "EVENT")]
    pub(crate) after: Option<String>,
    #[command(flatten)]
    pub(crate) chain: Chain,
}

#[derive(Debug, Args)]
pub(crate) struct Export {
    /// Write the kit with the key log into a file of mode 0600, which must not be there yet
    #[arg(long, value_name = "FILE", required_unless_present = "paper")]
    pub(crate) kit: Option<PathBuf>,
    /// Print one line to be written down, and a QR code
    #[arg(long)]
    pub(crate) paper: bool,
    /// Draw no QR code
    #[arg(long)]
    pub(crate) no_qr: bool,
    /// Then take the secret out of this home; asks for the last four characters of the kit
    #[arg(long)]
    pub(crate) remove: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Import {
    /// A file that `export --kit` wrote; - or nothing reads a kit from standard input
    pub(crate) kit: Option<PathBuf>,
    /// The key log of the agent, if the kit has none or an old one
    #[arg(long, value_name = "FILE")]
    pub(crate) log: Option<PathBuf>,
    /// Go on with the log that the kit has, although no newer one is known here
    #[arg(long)]
    pub(crate) yes: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum GuardiansCommand {
    /// Show the guardians of this agent, or of another one
    Show {
        /// The agent [default: this home's]
        agent: Option<String>,
    },
    /// Name guardians: gives the agent its next key
    #[command(after_help = "Examples:\n  \
        allod id guardians set did:key:z6Mk... did:key:z6Mk... did:key:z6Mk... --needed 2 --wait 7d\n\n\
        Name a guardian by the did:key of a device of theirs, which `allod id show` prints there as `device`: it stays when \
        the\nguardian's agent changes its key. A guardian who was named by the key of the agent, and changes it, has to be \
        named anew.\n\nWhere there are guardians already they have to agree: each runs\n\
        `allod id guardians release AGENT DID... --needed N --wait W`, and you add --released SAID.")]
    Set {
        #[command(flatten)]
        guardians: Named,
        /// What the present guardians said to that: texts or files
        #[arg(long, value_name = "SAID")]
        released: Vec<String>,
        #[command(flatten)]
        chain: Chain,
    },
    /// Have no guardians any more; the present ones have to agree
    Clear {
        /// What the present guardians said to that: texts or files
        #[arg(long, value_name = "SAID")]
        released: Vec<String>,
        #[command(flatten)]
        chain: Chain,
    },
    /// Say as a guardian that others may take the place of the guardians of an agent
    Release {
        /// The agent
        agent: String,
        #[command(flatten)]
        guardians: Named,
        /// That it has none any more
        #[arg(long, conflicts_with_all = ["guardians", "needed"])]
        none: bool,
    },
}

#[derive(Debug, Args)]
pub(crate) struct Named {
    /// Their keys
    #[arg(value_name = "DID")]
    pub(crate) guardians: Vec<String>,
    /// How many of them are needed [default: more than half]
    #[arg(long, value_name = "N")]
    pub(crate) needed: Option<u64>,
    /// How long they wait before they confirm: a number and s, m, h or d
    #[arg(long, value_name = "TIME", default_value = "7d", value_parser = wait_ms)]
    pub(crate) wait: u64,
}

#[derive(Debug, Subcommand)]
pub(crate) enum RecoverCommand {
    /// Ask for the recovery of an agent in a home that acts for nobody; prints a request for its guardians
    Begin {
        /// The agent
        agent: String,
        /// Its key log, if it is not known here
        #[arg(long, value_name = "FILE")]
        log: Option<PathBuf>,
        /// The event of the key log that the new key goes on from [default: the last]
        #[arg(long, value_name = "EVENT")]
        after: Option<String>,
        /// Give up an earlier request of this home, of whichever agent, and its keys
        #[arg(long)]
        anew: bool,
    },
    /// Approve a request as a guardian; the wait begins. Asks for the check code that the person read out
    Approve {
        #[command(flatten)]
        answer: Answer,
        /// The check code that the person read out
        #[arg(long, value_name = "CODE")]
        code: Option<String>,
        /// Approve although nobody compared the check code
        #[arg(long, conflicts_with = "code")]
        yes: bool,
    },
    /// Confirm a request as a guardian, after the wait
    Confirm {
        #[command(flatten)]
        answer: Answer,
        /// Confirm although somebody who speaks for the agent objected, or its log went on
        #[arg(long)]
        despite_objection: bool,
    },
    /// Say for an agent that the key of a request is not to become its key
    Object(Answer),
    /// Take in what others said, so that it is known here
    Hear {
        /// Texts, or files with them
        #[arg(required = true, value_name = "SAID")]
        said: Vec<String>,
    },
    /// Give the agent its new key, with what the guardians confirmed
    Finish {
        /// Texts, or files with them
        #[arg(value_name = "SAID")]
        said: Vec<String>,
    },
    /// Show what was said of recoveries
    Status {
        /// The agent [default: this home's, or the one it asks for]
        agent: Option<String>,
    },
}

#[derive(Debug, Args)]
pub(crate) struct Answer {
    /// The request: the text, or a file with it
    pub(crate) request: String,
    /// The key log of the agent, if it is not known here
    #[arg(long, value_name = "FILE")]
    pub(crate) log: Option<PathBuf>,
}

/// A time as a number with a unit, in milliseconds.
pub(crate) fn wait_ms(text: &str) -> Result<u64, String> {
    let (number, unit) = text.split_at(
        text.trim_end_matches(|c: char| c.is_ascii_alphabetic())
            .len(),
    );
    let unit = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 60 * 60,
        "d" => 24 * 60 * 60,
        _ => return Err("a time is a number and s, m, h or d, such as 7d".to_owned()),
    };
    let number: u64 = number
        .parse()
        .map_err(|_error| "no number before the unit".to_owned())?;
    number
        .checked_mul(unit * 1000)
        .ok_or_else(|| "too long".to_owned())
}

impl IdCommand {
    /// Whether the command needs the keys.
    pub(crate) fn signs(&self) -> bool {
        !matches!(
            self,
            Self::Log { .. }
                | Self::Learn { .. }
                | Self::Adopt { .. }
                | Self::Device {
                    command: DeviceCommand::List
                }
                | Self::Guardians {
                    command: GuardiansCommand::Show { .. }
                }
                | Self::Recover {
                    command: RecoverCommand::Status { .. } | RecoverCommand::Hear { .. }
                }
                | Self::Show { .. }
        )
    }

    /// Whether the command changes which keys the home holds, and so needs the secret that seals them.
    pub(crate) fn seals(&self) -> bool {
        matches!(
            self,
            Self::Rotate(_)
                | Self::Import(_)
                | Self::Export(Export { remove: true, .. })
                | Self::Guardians {
                    command: GuardiansCommand::Set { .. } | GuardiansCommand::Clear { .. }
                }
                | Self::Recover {
                    command: RecoverCommand::Begin { .. } | RecoverCommand::Finish { .. }
                }
        )
    }
}
