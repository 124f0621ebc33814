//! A reading group keeps books and readers as objects that refer to each other.
//!
//! Two members change the same book while they are apart; both changes survive. Run it with
//! `cargo run -p allod --example objects`.
#![expect(clippy::print_stdout, reason = "it shows what it does")]

use std::error::Error;
use std::sync::Arc;

use allod_blocks::MemoryStore;
use allod_identity::SecretKey;
use allod_repo::{Author, BranchName, Genesis, Heads, MergeOptions, Object, Ref, Repo, SpaceClass};
use serde::{Deserialize, Serialize};

#[derive(Debug, Serialize, Deserialize)]
struct Reader {
    name: String,
}

impl Object for Reader {
    const KIND: &'static str = "reader";
}

#[derive(Debug, Serialize, Deserialize)]
struct Book {
    title: String,
    pages: u32,
    lent_to: Option<Ref<Reader>>,
    sequel: Option<Ref<Book>>,
}

impl Object for Book {
    const KIND: &'static str = "book";
}

fn book(title: &str, pages: u32, sequel: Option<&Ref<Book>>) -> Book {
    Book {
        title: title.to_owned(),
        pages,
        lent_to: None,
        sequel: sequel.cloned(),
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let key = SecretKey::from_seed([7; 32]);
    let author = Author {
        agent: key.agent_id(),
        key: &key,
    };
    let genesis = Genesis {
        at: allod::now_ms(),
        class: SpaceClass::Convergent,
        name: "books".to_owned(),
        nonce: [1; 16],
        owner: author.agent,
    };
    let repo = Repo::create(Arc::new(MemoryStore::new()), genesis, author)?;
    let main = BranchName::main();

    let (dune, messiah) = (Ref::new("dune")?, Ref::new("messiah")?);
    let ada = Ref::new("ada")?;
    let mut shelf = repo.begin(&main)?;
    shelf.save(&dune, &book("Dune", 412, Some(&messiah)))?;
    shelf.save(&messiah, &book("Dune Messiah", 256, None))?;
    shelf.save(&ada, &Reader { name: "Ada".into() })?;
    let start = shelf.commit(author, "Fill the shelf", allod::now_ms())?;

    // Apart: one corrects the pages, the other lends the book out.
    let elsewhere: BranchName = "elsewhere".parse()?;
    repo.create_branch(&elsewhere, &Heads::from([start]))?;
    for (branch, lend) in [(&main, false), (&elsewhere, true)] {
        let mut edit = repo.begin(branch)?;
        let mut book = edit.object(&dune)?.ok_or("the book is there")?;
        if lend {
            book.lent_to = Some(ada.clone());
        } else {
            book.pages = 896;
        }
        edit.save(&dune, &book)?;
        edit.commit(author, "Change a book", allod::now_ms())?;
    }
    let theirs = repo.heads(&elsewhere)?;
    let options = MergeOptions::default();
    repo.merge(&main, &theirs, author, &options, allod::now_ms())?;

    let view = repo.state(&main)?;
    let book = view.object(&dune)?.ok_or("the book is there")?;
    let reader = view.object(&book.lent_to.ok_or("it is lent")?)?;
    let sequel = view.object(&book.sequel.ok_or("it has a sequel")?)?;
    println!("{} has {} pages now", book.title, book.pages);
    println!("lent to {}", reader.ok_or("a reader")?.name);
    println!("next: {}", sequel.ok_or("a book")?.title);
    Ok(())
}
