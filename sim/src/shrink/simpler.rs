//! Ways in which a plan can be simpler than it is, each a candidate to try.

use std::time::Duration;

use synod_core::{Config, Time};

use crate::clients::Ask;
use crate::faults::Fault;
use crate::kv::{Action, Op};
use crate::network::Noise;
use crate::plan::{Machine, Plan, Request};

/// One change to a plan.
pub(super) type Change = fn(&mut Plan);

/// Whole features that may not be needed.
pub(super) const FEATURES: &[(&str, Change)] = &[
    ("strange messages", |plan| {
        let Noise { delay_min, delay_mean, .. } = plan.noise;
        plan.noise = Noise { delay_min, delay_mean, ..Noise::default() };
    }),
    ("lost messages", |plan| plan.noise.loss_ppm = 0),
    ("doubled messages", |plan| plan.noise.duplicate_ppm = 0),
    ("late messages", |plan| plan.noise.late_ppm = 0),
    ("uneven delays", |plan| {
        plan.noise = Noise { delay_mean: Duration::ZERO, ..plan.noise.clone() }
    }),
    ("finding each other", |plan| plan.is_forming = false),
    ("state that machines keep", |plan| plan.machine.keeps.clear()),
    ("slow machines", |plan| {
        plan.machine = Machine { keeps: plan.machine.keeps.clone(), ..Machine::default() };
    }),
    ("unusual limits", |plan| {
        let Config { election_timeout, heartbeat_interval, retry_interval, .. } = plan.core;
        plan.core =
            Config { election_timeout, heartbeat_interval, retry_interval, ..Config::default() };
    }),
    ("rare heartbeats", |plan| {
        let slower = plan.core.election_timeout / 4;
        plan.core.heartbeat_interval = slower;
        plan.core.retry_interval = slower;
    }),
    ("several groups", |plan| {
        plan.groups = 1;
        plan.requests.retain(|request| request.group == 0);
        let groups = plan.groups;
        plan.faults.retain(|fault| fault.what.fits(plan.nodes, groups));
    }),
    ("five nodes", |plan| fewer(plan, 3)),
    ("three nodes", |plan| fewer(plan, 1)),
    ("nodes that are no founders", |plan| plan.spares = 0),
    ("padding", |plan| {
        for request in &mut plan.requests {
            if let Ask::Propose(_, padding) = &mut request.ask {
                *padding = 0;
            }
        }
    }),
    ("clients that go elsewhere", |plan| {
        plan.requests.iter_mut().for_each(|request| request.elsewhere = None);
    }),
    ("several keys", |plan| {
        for request in &mut plan.requests {
            match &mut request.ask {
                Ask::Propose(op, _) => op.key = 0,
                Ask::Read(key) | Ask::Stale(key, _) => *key = 0,
                Ask::Guest(..) | Ask::Query(..) => {}
            }
        }
    }),
    ("conditional operations", |plan| {
        for request in &mut plan.requests {
            if let Ask::Propose(Op { action: action @ (Action::Cas(_) | Action::Get), .. }, _) =
                &mut request.ask
            {
                *action = Action::Append;
            }
        }
    }),
    ("clients that do not wait", |plan| {
        plan.clients.iter_mut().for_each(|client| client.is_open = false);
    }),
];

/// With so many nodes: what concerns others goes, and who asked them asks another.
#[expect(clippy::wildcard_enum_match_arm, reason = "others name single nodes, and go if these do")]
fn fewer(plan: &mut Plan, nodes: usize) {
    if nodes >= plan.nodes {
        return;
    }
    let founders = plan.founders().min(nodes);
    (plan.nodes, plan.spares) = (nodes, nodes - founders);
    for client in &mut plan.clients {
        client.home %= nodes;
    }
    for request in &mut plan.requests {
        request.elsewhere = request.elsewhere.map(|node| node % nodes);
    }
    for fault in &mut plan.faults {
        match &mut fault.what {
            Fault::Cut { links, .. } | Fault::SlowLinks { links, .. } => {
                links.retain(|&(from, to)| from < nodes && to < nodes);
            }
            Fault::Blackout { down } => down.truncate(nodes),
            _ => {}
        }
    }
    let groups = plan.groups;
    plan.faults.retain(|fault| fault.what.fits(nodes, groups));
}

/// The plan with some of its faults and requests. A request that goes leaves its pause to the
/// client's next one, so that this one comes when it would have come.
pub(super) fn with(
    plan: &Plan,
    has_fault: impl Fn(usize) -> bool,
    has_request: impl Fn(usize) -> bool,
) -> Plan {
    let faults = plan.faults.iter().enumerate().filter(|&(n, _)| has_fault(n));
    let mut pauses = vec![Duration::ZERO; plan.clients.len()];
    let mut requests = Vec::new();
    for (n, request) in plan.requests.iter().enumerate() {
        let pause = std::mem::take(&mut pauses[request.client]) + request.pause;
        if has_request(n) {
            requests.push(Request { pause, ..request.clone() });
        } else {
            pauses[request.client] = pause;
        }
    }
    Plan { faults: faults.map(|(_, fault)| fault.clone()).collect(), requests, ..plan.clone() }
}

/// All times in multiples of a unit.
pub(super) fn rounded(plan: &Plan, unit: Duration) -> Plan {
    let round = |time: Duration| {
        let units = time.as_nanos().div_ceil(unit.as_nanos());
        unit.saturating_mul(u32::try_from(units).unwrap_or(u32::MAX))
    };
    let mut plan = plan.clone();
    for fault in &mut plan.faults {
        fault.at = Time::ZERO + round(fault.at.since(Time::ZERO));
    }
    for request in &mut plan.requests {
        request.pause = round(request.pause);
        request.patience = round(request.patience);
    }
    plan
}

/// Clients that ask nothing go.
pub(super) fn without_idle_clients(plan: &Plan) -> Plan {
    let mut plan = plan.clone();
    let asks = |client: usize| plan.requests.iter().any(|request| request.client == client);
    let kept: Vec<usize> = (0..plan.clients.len()).filter(|&client| asks(client)).collect();
    plan.clients = kept.iter().map(|&client| plan.clients[client].clone()).collect();
    for request in &mut plan.requests {
        let place = kept.iter().position(|&client| client == request.client);
        request.client = place.expect("it asks something");
    }
    plan
}

/// Everything before `shift` after `from` moves up to `from`: a gap closes in which little happens.
pub(super) fn sooner(plan: &Plan, from: Time, shift: Duration) -> Plan {
    let mut plan = plan.clone();
    let earlier =
        |at: Time| if at > from { from.max(Time::ZERO + at.since(Time::ZERO + shift)) } else { at };
    for fault in &mut plan.faults {
        fault.at = earlier(fault.at);
    }
    plan.until = earlier(plan.until);
    let mut began: Vec<Time> = vec![Time::ZERO; plan.clients.len()];
    for request in &mut plan.requests {
        let at = began[request.client] + request.pause;
        let before = earlier(began[request.client]);
        began[request.client] = at;
        request.pause = earlier(at).since(before);
    }
    plan
}
