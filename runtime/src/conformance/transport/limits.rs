//! Whether a peer that does not take what is sent can hurt the sender.

use std::time::{Duration, Instant};

use synod_core::NodeId;

use super::Suite;
use super::frames::{large, payload_bytes, small, until_arrived};
use super::host::{Host, LIMITS, cluster, end, who};
use crate::transport::{Frame, LinkStatus};

/// Much more than may wait anywhere, sent to a peer that takes nothing, one that is not there, and one
/// that is not known.
pub(super) fn send_never_waits(suite: &Suite) -> Result<(), String> {
    let (hosts, _) = cluster(suite, 2)?;
    let [one, two] = &hosts[..] else { return Err("two nodes were not started".into()) };
    one.connect(3, &suite.setup.address())?;
    until_arrived(suite, one, two, &small(1), || Ok(()))?;
    two.record.set_full(true);
    for to in [2, 3, 9] {
        let longest = flood(one, to)?;
        if longest > SEND_MAX {
            return Err(format!(
                "one `send` with its `flush` took {longest:?} while the peer took nothing: it must \
                 not wait for anything; drop what finds no room"
            ));
        }
    }
    two.record.set_full(false);
    until_arrived(suite, one, two, &small(2), || Ok(()))?;
    end(suite, hosts)
}

/// Sends [`FLOOD`] bytes; gives how long the longest `send` took.
fn flood(host: &Host, to: u64) -> Result<Duration, String> {
    let mut longest = Duration::ZERO;
    for _ in 0..FLOOD / PIECE / 8 {
        let took = host.call("send", move |network| {
            let frame = Frame(large(PIECE));
            let one = |_| {
                let begun = Instant::now();
                network.send(NodeId(to), &frame);
                network.flush();
                begun.elapsed()
            };
            (0..8).map(one).max().unwrap_or_default()
        })?;
        longest = longest.max(took);
    }
    Ok(longest)
}

/// The same, and what has waited where is counted when the peer takes it.
pub(super) fn memory_is_bounded(suite: &Suite) -> Result<(), String> {
    let (at_one, at_two) = (suite.setup.address(), suite.setup.address());
    let one = Host::start(suite, &at_one, &who(1))?;
    let two = Host::start(suite, &at_two, &who(2))?;
    one.connect(2, &at_two)?;
    two.connect(1, &at_one)?;
    until_arrived(suite, &one, &two, &small(1), || Ok(()))?;
    let before = one.link(2)?.dropped;
    two.record.set_full(true);
    flood(&one, 2)?;
    let LinkStatus { queued_bytes, dropped, .. } = one.link(2)?;
    let queue_max = LIMITS.queue_bytes_max + SLACK;
    if queued_bytes > queue_max {
        return Err(format!(
            "{queued_bytes} bytes wait for a peer that takes nothing: at most {queue_max} may"
        ));
    }
    if dropped <= before {
        return Err(format!(
            "{FLOOD} bytes were sent to a peer that takes nothing, and `Links::status` shows none \
             dropped: they have to be, and to be counted"
        ));
    }
    let pushed = two.record.got().pushed.get(&NodeId(1)).copied().unwrap_or_default();
    if pushed > PUSHED_MAX {
        return Err(format!(
            "{pushed} bytes were handed in while `Endpoint::is_full`: stop to read, or drop them"
        ));
    }
    two.record.set_full(false);
    until_arrived(suite, &one, &two, &small(2), || Ok(()))?;
    suite.until(
        || "nothing waits at a peer that takes everything".into(),
        || Ok(one.link(2)?.queued_bytes == 0),
    )?;
    let waited: usize = two.record.got().packets.iter().map(|(_, it)| payload_bytes(it)).sum();
    if waited > WAITED_MAX {
        return Err(format!(
            "{waited} bytes came once the peer took them, of {FLOOD} that were sent while it did \
             not: so much must not wait anywhere (here at most {WAITED_MAX})"
        ));
    }
    end(suite, vec![one, two])
}

/// Sent to a peer that takes nothing.
const FLOOD: usize = 128 * 1024 * 1024;

/// Of which one frame holds so much.
const PIECE: usize = 128 * 1024;

/// Longer than any pause of a busy machine, shorter than any timeout of a transport.
const SEND_MAX: Duration = Duration::from_secs(1);

/// Small frames above the limit, and one that was begun below it.
const SLACK: usize = 1024 * 1024 + 2 * 1024 * 1024;

/// What was read already when the node became full.
const PUSHED_MAX: usize = 4 * 1024 * 1024;

/// In the queue, and in buffers of the operating system both ways.
const WAITED_MAX: usize = 40 * 1024 * 1024;
