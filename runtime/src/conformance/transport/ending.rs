//! Whether a transport that is closed is gone.

use synod_core::NodeId;

use super::Suite;
use super::frames::{small, until_arrived};
use super::host::{Host, Who, cluster, end, who};

/// One of two nodes closes, and another process takes its place while its transport is still there.
pub(super) fn is_clean(suite: &Suite) -> Result<(), String> {
    let (hosts, addresses) = cluster(suite, 2)?;
    let [one, two] = &hosts[..] else { return Err("two nodes were not started".into()) };
    let [at_one, at_two] = &addresses[..] else { return Err("two nodes were not started".into()) };
    until_arrived(suite, one, two, &small(1), || Ok(()))?;
    until_arrived(suite, two, one, &small(2), || Ok(()))?;
    let record = std::sync::Arc::clone(&one.record);
    let heard = one.call("close", move |network| {
        network.close();
        record.got().packets.len()
    })?;
    let silent = || {
        let now = one.record.got().packets.len();
        if now > heard {
            return Err(format!("{} frames were handed in at node 1 after `close`", now - heard));
        }
        Ok(())
    };
    let mut sent = 100;
    suite.until(
        || "node 1 is shown as not connected at node 2 after it has closed".into(),
        || {
            sent += 1;
            two.send(1, vec![small(sent)])?;
            silent()?;
            Ok(!two.link(1)?.connected)
        },
    )?;
    // These do nothing, and do not fail.
    one.call("disconnect", |network| network.disconnect(NodeId(2)))?;
    one.connect(2, at_two)?;
    one.send(2, vec![small(3)])?;
    one.call("close", |network| network.close())?;
    let next = Host::start(suite, at_one, &Who { boot: 2, nonce: 11, ..who(1) })?;
    next.connect(2, at_two)?;
    until_arrived(suite, &next, two, &small(4), silent)?;
    until_arrived(suite, two, &next, &small(5), silent)?;
    if two.record.has(1, &small(3)) {
        return Err("a frame left node 1 after `close`".into());
    }
    next.end(suite)?;
    end(suite, hosts)
}
