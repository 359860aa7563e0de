//! What a process says and hears of memories before it takes part.

use super::{
    Arrived, Duration, Env, Hello, Inside, Judgement, Machine, Process, Violation, node_id,
};

impl Process {
    /// A peer says hello.
    pub(in crate::node) fn greeted(
        &mut self,
        machine: &Machine,
        arrived: Arrived,
        hello: &Hello,
        env: &mut Env,
    ) -> Result<(), Violation> {
        self.hellos.heard(machine, self.journal.durable(), arrived, hello, env)
    }

    /// A peer says what it makes of a hello.
    pub(in crate::node) fn judged(
        &mut self,
        machine: &mut Machine,
        arrived: Arrived,
        judgement: &Judgement,
        env: &mut Env,
    ) -> Result<(), Violation> {
        let (from, now) = (node_id(arrived.from), machine.clock.local(env.now));
        env.line(machine.index, || format!("   < {from}  {judgement:?}"));
        env.checkers.hellos.answered(machine.index, from, judgement, machine.memory.now());
        self.hellos.answered(arrived, judgement);
        let founding = self.entry.founding();
        let decision = self.hellos.welcome.judged(now, from, judgement, founding);
        self.decided(decision, machine, env)
    }

    /// A second process of the same directory and start says hello to everyone.
    pub(in crate::node) fn say_twice(&mut self, machine: &Machine, env: &mut Env) {
        self.hellos.say_twice(machine, self.journal.durable(), env);
    }

    /// Wakes up when the silence is over.
    pub(super) fn wait(&self, machine: &Machine, env: &mut Env) {
        if let Some(deadline) = self.hellos.welcome.deadline() {
            let wait = machine.clock.when(deadline).since(env.now);
            machine.later(wait.max(Duration::from_nanos(1)), Inside::Enter, env);
        }
    }
}
