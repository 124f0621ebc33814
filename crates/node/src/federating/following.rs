//! What a federation does when its space changes: links hear of deltas that came by other ways, entries are told as
//! deltas, and deltas are brought in as entries (FED-54).

use std::time::Duration;

use allod_deltas::{bring, tell};
use allod_federation::Federation;
use allod_feed::{Filter, Subscription};
use allod_repo::Repo;
use tokio::sync::watch;
use tokio::task::spawn_blocking;

use super::register::FederatingError;
use super::settings::Shared;
use crate::clock::now_ms;
use crate::error::NodeError;
use crate::hooks::lock;
use crate::node::Node;

/// Events that are passed over at a time.
const PAGE: usize = 256;

/// How long is waited after something failed.
const AFTER_FAULT: Duration = Duration::from_secs(2);

/// Follows the moves of a space until `stop` becomes true or the federation ends.
pub(super) async fn follow(
    (node, repo, shared, federation): (Node, Repo, Shared, Federation),
    mut stop: watch::Receiver<bool>,
) {
    let stops = Box::pin(async move {
        drop(stop.wait_for(|stop| *stop).await);
    });
    tokio::select! {
        () = stops => {}
        () = federation.closed() => {}
        () = moves(&node, &repo, &shared, &federation) => {}
    }
}

async fn moves(node: &Node, repo: &Repo, shared: &Shared, federation: &Federation) {
    let mut consumer = None;
    loop {
        let work = (node.clone(), repo.clone(), shared.clone(), consumer.take());
        let done = spawn_blocking(move || {
            let (node, repo, shared, consumer) = work;
            let consumer = pass(&node, &repo, consumer)?;
            // After the place in the log was taken: what comes meanwhile is seen to again.
            exchange(&node, &repo, &shared)?;
            Ok::<_, NodeError>(consumer)
        });
        match done.await {
            Ok(Ok(mut following)) => {
                lock(&node.federating().troubles).remove(&repo.id());
                federation.arrived();
                following.ready().await;
                consumer = Some(following);
            }
            // What could not be read or written now is tried again, from what is there.
            Ok(Err(error)) => {
                let words = error.to_string();
                lock(&node.federating().troubles).insert(repo.id(), words);
                // Links hear of what came all the same.
                federation.arrived();
                tokio::time::sleep(AFTER_FAULT).await;
            }
            Err(_) => tokio::time::sleep(AFTER_FAULT).await,
        }
    }
}

/// Goes to the end of the log.
fn pass(
    node: &Node,
    repo: &Repo,
    consumer: Option<Subscription>,
) -> Result<Subscription, NodeError> {
    let mut consumer = match consumer {
        Some(consumer) => consumer,
        None => {
            let filter = format!(
                r#"{{"spaces":["{}"],"kinds":["commit","move"]}}"#,
                repo.id()
            );
            let filter: Filter = filter.parse()?;
            node.subscribe(node.cursor_at("now")?, filter)?
        }
    };
    while !consumer.page(node, PAGE, usize::MAX)?.is_end {}
    Ok(consumer)
}

/// Tells and brings what is to be.
fn exchange(node: &Node, repo: &Repo, shared: &Shared) -> Result<(), NodeError> {
    if let Some(branch) = &shared.tell {
        let deltas = node.deltas(repo, &shared.branch)?;
        tell(&deltas, branch, now_ms())?;
    }
    if let Some(setting) = &shared.bring {
        let deltas = node.deltas(repo, &shared.branch)?;
        let bringing = setting.bringing().map_err(FederatingError::from)?;
        bring(&deltas, &bringing, now_ms())?;
    }
    Ok(())
}
