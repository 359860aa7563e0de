//! Who belongs to the groups of a node, as it knows, and what an operator asks it for.

use synod_core::{Input, Instance, Membership};

use super::Node;
use crate::env::Env;

impl Node {
    /// The membership of a group as this node knows it, and its version.
    #[must_use]
    pub fn membership(&self, group: usize) -> Option<(Instance, &Membership)> {
        self.process.as_ref()?.membership(group)
    }

    /// Somebody asks for something of a group that is not a client.
    pub fn input(&mut self, group: usize, input: Input, env: &mut Env) {
        if let Some(process) = &mut self.process {
            process.input(&mut self.machine, group, input, env);
        }
    }
}
