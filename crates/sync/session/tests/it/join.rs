//! Joining by ticket.

use std::sync::Arc;

use allod_blocks::MemoryStore;
use allod_repo::{Agents, BranchName, Rejected};
use allod_sync::{JoinReply, JoinRequest, Ticket, TicketError, Tickets, admit, enter};

use crate::pair::{Person, START, pairs, put, space, talk};

const SECRET: [u8; 16] = [5; 16];

/// The key logs of a store that has none.
fn nobody() -> Agents {
    Agents::new(Arc::new(MemoryStore::new()))
}

fn code(reply: &JoinReply) -> &str {
    match reply {
        JoinReply::Refused { code, .. } => code,
        JoinReply::Welcome(_) => "welcome",
    }
}

#[test]
fn a_ticket_opens_the_space_and_nothing_else_does() {
    let (ada, bob) = (Person::new(1), Person::new(2));
    let repo = space(&ada, &[]);
    put(&repo, &ada, &pairs(0..3, "value"), START);
    let tickets = Tickets::new(Arc::clone(repo.store()));
    let request = |secret| JoinRequest {
        agent: bob.author().agent,
        events: Vec::new(),
        secret,
        space: repo.id(),
    };
    let ask = |secret, device: &Person, now| {
        let peer = device.0.device_id();
        admit(&repo, &tickets, &peer, &request(secret), ada.author(), now).unwrap()
    };
    assert_eq!(
        code(&ask(SECRET, &bob, START)),
        "E_TICKET",
        "none was issued"
    );
    tickets
        .issue(repo.id(), &SECRET, START + 1000, None)
        .unwrap();
    assert_eq!(
        code(&ask([6; 16], &bob, START)),
        "E_TICKET",
        "another secret"
    );
    assert_eq!(
        code(&ask(SECRET, &bob, START + 1000)),
        "E_TICKET",
        "too late"
    );
    assert_eq!(
        code(&ask(SECRET, &ada, START)),
        "E_TICKET",
        "another device"
    );
    let reply = ask(SECRET, &bob, START);
    assert_eq!(JoinReply::decode(&reply.encode()).as_ref(), Ok(&reply));
    let JoinReply::Welcome(welcome) = reply else {
        panic!("{reply:?}")
    };
    assert_eq!(
        code(&ask([0; 16], &bob, START + 9999)),
        "welcome",
        "a member needs no ticket"
    );

    let other = space(&bob, &[]).id();
    assert!(matches!(
        enter(&nobody(), other, &welcome, None),
        Err(Rejected::Refused(_))
    ));
    let joined = enter(&nobody(), repo.id(), &welcome, None).unwrap();
    assert!(talk((&joined, &bob), (&repo, &ada)).is_complete());
    let main = BranchName::main();
    assert_eq!(joined.heads(&main).unwrap(), repo.heads(&main).unwrap());
}

#[test]
fn a_ticket_that_was_copied_badly_is_noticed() {
    let ada = Person::new(1);
    let ticket = Ticket {
        addrs: vec!["127.0.0.1:4000".into()],
        device: ada.0.device_id(),
        secret: SECRET,
        space: space(&ada, &[]).id(),
    };
    let text = ticket.to_text();
    assert_eq!(text.parse(), Ok(ticket.clone()));
    assert_eq!(format!(" {text}\n").parse(), Ok(ticket.clone()));
    assert!(
        !format!("{ticket:?}").contains("5, 5"),
        "the secret is not shown"
    );
    assert_eq!("hello".parse::<Ticket>(), Err(TicketError::Prefix));
    for at in 13..text.len() {
        let mut bad = text.clone().into_bytes();
        bad[at] = if bad[at] == b'a' { b'c' } else { b'a' };
        let bad = String::from_utf8(bad).unwrap();
        assert_eq!(bad.parse::<Ticket>(), Err(TicketError::Damaged), "{at}");
    }
    assert_eq!(
        text[..text.len() - 1].parse::<Ticket>(),
        Err(TicketError::Damaged)
    );
}
