//! What a proposer says about a command.

use std::any::Any;
use std::fmt;
use std::time::Duration;

use bytes::Bytes;
use synod_core::SmId;

/// A value of the proposer's that its state machine sees when the command is executed at the node
/// where it was proposed: see [`StateMachine::proposed_here`](crate::StateMachine::proposed_here).
pub type Context = Box<dyn Any + Send>;

/// A command to propose, with what may be said about it. Everything that turns into
/// [`Bytes`] turns into a proposal with the defaults.
///
/// ```
/// # use std::time::Duration;
/// use synod::{Proposal, SmId};
///
/// let (answer, _typed) = std::sync::mpsc::channel::<u64>();
/// let proposal = Proposal::new("add 7")
///     .machine(SmId(2))
///     .timeout(Duration::from_secs(1))
///     .context(answer);
/// # drop(proposal);
/// ```
#[must_use = "nothing is proposed until a group is given it"]
pub struct Proposal {
    pub(crate) command: Bytes,
    pub(crate) sm: Option<SmId>,
    pub(crate) timeout: Option<Duration>,
    pub(crate) context: Option<Context>,
}

impl Proposal {
    /// A command for the group's first state machine, with the builder's timeout.
    pub fn new(command: impl Into<Bytes>) -> Self {
        Self { command: command.into(), sm: None, timeout: None, context: None }
    }

    /// Which of the group's state machines executes it.
    pub const fn machine(mut self, sm: SmId) -> Self {
        self.sm = Some(sm);
        self
    }

    /// How long the proposer waits at most.
    pub const fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    /// A value for [`StateMachine::proposed_here`](crate::StateMachine::proposed_here): the sending
    /// end of a channel, mostly, through which the machine answers with a type of its own.
    ///
    /// It never leaves the process. It is handed over if the command is executed here in this life of
    /// the process, even if the proposer was told
    /// [`Unknown`](crate::ProposeError::Unknown) before; otherwise it is dropped, so whoever waits at
    /// the other end of such a channel is released.
    pub fn context(mut self, context: impl Any + Send) -> Self {
        self.context = Some(Box::new(context));
        self
    }
}

impl<T: Into<Bytes>> From<T> for Proposal {
    fn from(command: T) -> Self {
        Self::new(command)
    }
}

impl fmt::Debug for Proposal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Proposal")
            .field("bytes", &self.command.len())
            .field("sm", &self.sm)
            .field("timeout", &self.timeout)
            .field("context", &self.context.is_some())
            .finish()
    }
}
