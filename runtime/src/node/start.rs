//! From a builder to a running node.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::thread;
use std::time::Duration;

use synod_core::{Bootstrap, Forming, FormingStart, Founder, GroupId, Incarnation, Member, SmId};
use synod_proto::Welcome;
use tokio::sync::{oneshot, watch};

use super::Node;
use super::applier::Applier;
use super::builder::{NodeBuilder, Valid};
use super::clock::Clock;
use super::driver::{Driver, Guard, Meeting, State, Turn};
use super::error::StartError;
use super::fetcher::Fetcher;
use super::front::Front;
use super::handle::GroupHandle;
use super::hosted::{Hosted, Limits};
use super::keeping::Keeping;
use super::log_thread::LogThread;
use super::note::{FromKeeper, FromLog, FromMachines, FromPeers, Note, Shared};
use super::observing::Observing;
use super::pool::Pool;
use super::status::GroupState;
use crate::Machines;
use crate::checkpoints::Keeper;
use crate::log::{Log, LogConfig, OpenError, Opened};
use crate::transport::{Endpoint, FrameLimits, Identity, Inlet, Network, SharedIdentity};
use crate::vfs::Vfs;

/// Starts the protocol thread, which sets everything up and says how that went.
///
/// The node has a runtime of its own on that thread: what users do in theirs never delays a vote,
/// and a message from a peer reaches the protocol without a wake-up in between.
pub(super) async fn start(mut builder: NodeBuilder, vfs: impl Vfs) -> Result<Node, StartError> {
    let valid = builder.validate()?;
    let (tell, told) = oneshot::channel();
    let name = format!("synod-{}", valid.id);
    #[cfg(all(feature = "admin", unix))]
    let dir = builder.admin.then(|| valid.data_dir.clone());
    let thread = thread::Builder::new()
        .name(name)
        .spawn(move || {
            let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
                Ok(runtime) => runtime,
                Err(error) => return drop(tell.send(Err(StartError::System(error)))),
            };
            runtime.block_on(async {
                match set_up(builder, valid, vfs).await {
                    Ok((driver, parts)) => {
                        if tell.send(Ok(parts)).is_ok() {
                            // A task, and not this future: so it runs right after the one that
                            // wakes it, without a look at the sockets in between.
                            drop(tokio::spawn(driver.run()).await);
                        }
                    }
                    Err(error) => drop(tell.send(Err(error))),
                }
            });
            // A lookup of a name may hang for long.
            runtime.shutdown_timeout(Duration::ZERO);
        })
        .map_err(StartError::System)?;
    let lost = || StartError::System(io::Error::other("the node's thread has ended"));
    let Parts { shared, groups, local } = told.await.map_err(|_| lost())??;
    Ok(Node {
        #[cfg(all(feature = "admin", unix))]
        admin: dir.and_then(|dir| super::admin(&dir, &shared, &groups)),
        shared,
        groups,
        local,
        thread: Some(thread),
    })
}

/// What the user's side gets.
pub(super) struct Parts {
    shared: Arc<Shared>,
    groups: BTreeMap<GroupId, GroupHandle>,
    local: std::net::SocketAddr,
}

async fn set_up(
    builder: NodeBuilder,
    valid: Valid,
    vfs: impl Vfs,
) -> Result<(Driver, Parts), StartError> {
    let Valid { id, way, data_dir, peers } = valid;
    // Before anything is read: an address that is taken is the commonest mistake.
    let way = way.listen(builder.listener).await?;

    let random = || getrandom::u64().map_err(|error| StartError::System(io::Error::other(error)));
    let mut drawn = Vec::new();
    for &(group, _) in &builder.groups {
        drawn.push((group, Incarnation(random()?.max(1))));
    }
    drawn.sort_unstable();
    let salt = if builder.log.salt == 0 { random()? } else { builder.log.salt };
    let log_config = LogConfig { salt, ..builder.log.clone() };
    let opened = Log::start(vfs.clone(), &data_dir, log_config, &drawn, builder.restart)
        .map_err(|error| refused(&data_dir, error))?;
    let Opened { log, boot, batch, founding, groups: mut logs, report, renewed } = opened;
    tracing::info!(node = id.0, boot, batch, ?report, "log opened");
    if let Some(reason) = renewed {
        tracing::warn!(
            node = id.0,
            ?reason,
            "new incarnations: the node learns, and votes again \
            once a membership change has swapped it in"
        );
    }
    if founding.is_none() && peers.is_empty() && builder.bootstrap == Bootstrap::Auto {
        return Err(StartError::Alone(id));
    }

    let observing = builder.observer.map_or_else(
        || Ok(Observing::default()),
        |observer| Observing::start(format!("synod-{id}-observer"), observer),
    );
    let observing = observing.map_err(StartError::System)?;
    let shared = Arc::new(Shared::new(id, Clock::start(), observing));
    let mut memories = Vec::new();
    let pool = Arc::default();
    let machine_threads = Pool::new(format!("synod-{id}-sm"));
    let (mut groups, mut recovered, mut slots) = (Vec::new(), Vec::new(), BTreeMap::new());
    let mut handles = BTreeMap::new();
    for (group, make) in builder.groups {
        let Some(mut its) = logs.remove(&group) else {
            let text = "the log was not opened for it".to_owned();
            return Err(StartError::Recovered(group, text));
        };
        let machines = make();
        let ids: Arc<[SmId]> = machines.iter().map(|machine| machine.id()).collect();
        let mut machines =
            Machines::new(machines).map_err(|error| StartError::Machines(group, error))?;
        let slot = groups.len();
        let mut config = builder.config.clone();
        builder.checkpoints.set(&mut config);
        let recorded = its.recovered.checkpoint.as_ref().map(|(at, _)| *at);
        let dir = data_dir.join("checkpoints").join(group.0.to_string());
        let needs = |sm| recorded.is_some_and(|at| machines.needs(sm, at));
        let (keeper, is_whole) =
            Keeper::open(vfs.clone(), &dir, recorded, needs, builder.transfers)
                .map_err(StartError::System)?;
        let store = keeper.store().clone();
        if let Some(at) = recorded.filter(|_| is_whole) {
            machines
                .load(at, |sm| store.loaded(at, sm))
                .map_err(|error| StartError::Machines(group, error))?;
        }
        if !is_whole {
            tracing::warn!(
                node = id.0,
                group = group.0,
                "the last checkpoint is lost: a peer's will do"
            );
            its.recovered.files_lost = true;
        }
        let kept = Arc::new(FromKeeper { shared: Arc::clone(&shared), slot });
        let keeping = Keeping::new(format!("synod-{id}-cp-{group}"), keeper, shared.clock, kept);
        config.seed = if config.seed == 0 { random()? } else { config.seed ^ u64::from(group.0) };
        let applier = Applier::new(
            &machine_threads,
            machines,
            (config.apply_ahead_max / 4).max(1),
            FromMachines { shared: Arc::clone(&shared), slot, store, keeping: keeping.clone() },
        );
        let (state, watched) = watch::channel(GroupState::default());
        let me = Member { node: id, incarnation: its.incarnation };
        let limits =
            Limits { command_bytes_max: config.command_bytes_max, reads_max: config.reads_max };
        let front = Arc::new(Front::new(
            group,
            config.clone(),
            builder.timeout,
            Arc::clone(&pool),
            shared.observing.clone(),
            builder.before_propose.clone(),
        ));
        handles.insert(
            group,
            GroupHandle {
                shared: Arc::clone(&shared),
                slot,
                group,
                front: Arc::clone(&front),
                machines: ids,
                command_bytes_max: config.command_bytes_max,
                state: watched,
            },
        );
        memories.push((group, its.incarnation));
        slots.insert(group, slot);
        recovered.push(Some((its.recovered, config)));
        groups.push(Hosted::new(group, me, limits, applier, keeping, front, state));
    }
    memories.sort_unstable();

    let reader = log.reader();
    let room_low = builder.log.segment_bytes / 2;
    let name = format!("synod-{id}-log");
    let durable_batch = Arc::new(AtomicU64::new(batch));
    let durably = FromLog(Arc::clone(&shared));
    let log = LogThread::spawn(name, log, room_low, Arc::clone(&durable_batch), durably)
        .map_err(StartError::System)?;
    let fetched = Arc::clone(&shared);
    let fetcher =
        Fetcher::spawn(format!("synod-{id}-fetch"), reader, move |slot, fetch, entries| {
            fetched.inbox.push(Note::Fetched { slot, fetch, entries });
        })
        .map_err(StartError::System)?;

    let nonce = random()?;
    let identity = SharedIdentity::new(Identity {
        node: id,
        cluster: founding.as_ref().map(|founding| founding.cluster),
        boot,
        durable_batch,
        nonce,
        groups: memories.clone(),
    });
    let inlet: Arc<dyn Inlet> = Arc::new(FromPeers(Arc::clone(&shared)));
    let endpoint = Endpoint::new(identity.clone(), inlet, FrameLimits::fitting(&builder.config));
    let (transport, local) = way.start(endpoint.clone())?;
    let mut network = Network::new(endpoint, transport);
    for (&peer, address) in &peers {
        network.connect(peer, address);
    }
    #[cfg(feature = "metrics")]
    shared.links.get_or_init(|| network.links());

    let founders = peers.keys().copied().chain([id]).collect();
    let forming = Forming::new(FormingStart {
        me: id,
        founder: Founder { founders, memories },
        bootstrap: builder.bootstrap,
        founding,
        seed: random()?,
        retry_interval: FORMING_INTERVAL,
        now: shared.clock.now(),
    });
    let shared_now = shared.clock.now();
    let driver = Driver {
        guard: Guard(Arc::clone(&shared)),
        shared: Arc::clone(&shared),
        groups,
        slots,
        recovered,
        welcome: Welcome::new(id, boot, nonce, shared_now + builder.config.election_timeout),
        forming,
        identity,
        network,
        log: Some(log),
        stopped_log: None,
        has_room: true,
        fetcher,
        checkpoint_every: builder.checkpoints.time,
        state: State::Forming(Vec::new()),
        meeting: Meeting::new(peers),
        turn: Turn::default(),
    };
    Ok((driver, Parts { shared, groups: handles, local }))
}

fn refused(data_dir: &Path, error: OpenError) -> StartError {
    if let OpenError::Full { dir, needed } = error {
        return StartError::DiskFull { dir, needed };
    }
    StartError::Log(data_dir.to_owned(), error.to_string())
}

/// How long a round of questions to the founders takes at first.
const FORMING_INTERVAL: Duration = Duration::from_millis(50);
