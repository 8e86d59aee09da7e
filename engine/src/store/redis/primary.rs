//! Primary: the connections to one primary, with a deadline for each call, and made anew after any failure.
//!
//! The caller waits between tries, and not the connection: the caller knows what waits for the answer.

use super::address::{Address, Way};
use super::facts::Facts;
use super::meaning::meaning;
use super::options::{Durability, RedisOptions};
use super::sentinels::Sentinels;
use super::{facts, keys, library, slots};
use crate::store::StoreError;
use crate::store::planted::is_planted;
use parking_lot::Mutex;
use redis::aio::MultiplexedConnection;
use redis::{
    AsyncConnectionConfig, Client, Cmd, FromRedisValue, RedisConnectionInfo, RedisError,
    RedisResult,
};
use std::fmt;
use std::time::Duration;
use tokio::sync::{Mutex as AsyncMutex, Semaphore};

/// Connections that a call has to itself, at once.
const ALONE: usize = 16;

/// Why a call was not answered.
#[derive(Debug)]
pub(super) enum Failure {
    /// Another node of the cluster answers it; for this once if that node has to be asked for it.
    MovedTo { at: String, is_asking: bool },
    /// What has become of it.
    Store(StoreError),
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl From<RedisError> for Failure {
    fn from(error: RedisError) -> Self {
        match error.redirect_node() {
            Some((at, _)) => {
                Self::MovedTo { at: at.to_owned(), is_asking: error.code() == Some("ASK") }
            }
            None => Self::Store(meaning(&error)),
        }
    }
}

impl Failure {
    /// What has become of the call, for a caller that asks nowhere else.
    pub(super) fn outcome(self) -> StoreError {
        match self {
            Self::MovedTo { at, .. } => StoreError::Refused(format!("MOVED to {at}")),
            Self::Store(error) => error,
        }
    }
}

/// Where a primary is.
pub(super) enum Place {
    /// At this address.
    At(Address),
    /// Where Sentinels say.
    Watched(Box<Sentinels>),
}

/// How the primaries of a Redis are spoken to.
#[derive(Clone)]
pub(super) struct Manner {
    way: Way,
    /// As whom the function library is loaded, if it is another user.
    loader: Option<RedisConnectionInfo>,
    deadline: Duration,
    replicas: u32,
    durability: Durability,
}

impl Manner {
    pub(super) fn new(options: &RedisOptions, way: Way) -> Result<Self, StoreError> {
        let loader = options.loader_url.as_deref().map(|url| {
            let (way, _) = Way::read("--redis-loader", url, None)?;
            Ok::<_, StoreError>(way.user().clone())
        });
        let &RedisOptions { deadline, replicas, durability, .. } = options;
        Ok(Self { way, loader: loader.transpose()?, deadline, replicas, durability })
    }

    pub(super) const fn way(&self) -> &Way {
        &self.way
    }

    pub(super) const fn deadline(&self) -> Duration {
        self.deadline
    }

    async fn connect(&self, client: &Client) -> Result<MultiplexedConnection, StoreError> {
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(self.deadline))
            // The call's deadline is the only one: it also gives the connection up.
            .set_response_timeout(None);
        let connection = client.get_multiplexed_async_connection_with_config(&config).await;
        // Nothing was sent yet, so nothing can have happened.
        connection.map_err(|error| match meaning(&error) {
            StoreError::Unknown(why) => StoreError::Refused(format!("no connection: {why}")),
            refused => refused,
        })
    }
}

/// One primary.
pub(super) struct Primary {
    place: Place,
    manner: Manner,
    /// What all calls share that need no connection to themselves.
    shared: AsyncMutex<Option<MultiplexedConnection>>,
    /// Those that no call has at the moment.
    free: Mutex<Vec<MultiplexedConnection>>,
    alone: Semaphore,
}

impl fmt::Debug for Primary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Primary").field("deadline", &self.manner.deadline).finish_non_exhaustive()
    }
}

impl Primary {
    pub(super) fn new(place: Place, manner: Manner) -> Self {
        let (shared, free, alone) =
            (AsyncMutex::default(), Mutex::default(), Semaphore::new(ALONE));
        Self { place, manner, shared, free, alone }
    }

    /// Sends one command and returns its answer; `is_asking` says that another node sent it here for this once.
    /// When the function library is missing, it is loaded and the command is sent again.
    pub(super) async fn ask<T: FromRedisValue>(
        &self,
        command: &Cmd,
        is_asking: bool,
    ) -> Result<T, Failure> {
        match self.ask_once(command, is_asking).await {
            Err(Failure::Store(StoreError::Refused(why))) if library::is_missing(&why) => {
                self.load().await?;
                self.ask_once(command, is_asking).await
            }
            answer => answer,
        }
    }

    async fn ask_once<T: FromRedisValue>(
        &self,
        command: &Cmd,
        is_asking: bool,
    ) -> Result<T, Failure> {
        let mut is_sent = false;
        let asked = tokio::time::timeout(self.manner.deadline, async {
            if self.manner.replicas > 0 && !library::counts_anywhere(command) {
                return self.ask_replicated(command, is_asking, &mut is_sent).await;
            }
            let mut connection = self.connected().await?;
            is_sent = true;
            crate::fault::crash_point("sending");
            Self::sent(command, is_asking, &mut connection).await
        });
        let answer = match asked.await {
            Ok(answer) => answer,
            Err(_) => {
                let within = format!("within {:?}", self.manner.deadline);
                Err(Failure::Store(match is_sent {
                    true => StoreError::Unknown(format!("no answer {within}")),
                    false => StoreError::Refused(format!("no connection {within}")),
                }))
            }
        };
        match &answer {
            // A slot is on its way, and nothing is wrong with the connections.
            Ok(_) | Err(Failure::MovedTo { .. }) => {}
            Err(Failure::Store(StoreError::Refused(why))) if why.contains("TRYAGAIN") => {}
            Err(Failure::Store(_)) => self.give_up(),
        }
        answer
    }

    /// Gives the connections up, also when Redis refused a call: behind the same address there may be another Redis
    /// by now.
    fn give_up(&self) {
        // Err: a new one is made at this moment.
        if let Ok(mut shared) = self.shared.try_lock() {
            *shared = None;
        }
        self.free.lock().clear();
    }

    /// Counts the answer only when as many replicas have the change as must. What waits for them keeps its
    /// connection, so the call has one to itself.
    async fn ask_replicated<T: FromRedisValue>(
        &self,
        command: &Cmd,
        is_asking: bool,
        is_sent: &mut bool,
    ) -> Result<T, Failure> {
        let _permit = self.alone.acquire().await.expect("the connections are never closed");
        let free = self.free.lock().pop();
        let mut connection = match free {
            Some(connection) => connection,
            None => self.checked().await?,
        };
        *is_sent = true;
        crate::fault::crash_point("sending");
        let answer = Self::sent(command, is_asking, &mut connection).await?;
        // A command that finds everything done writes nothing, and what writes nothing may wait for no replica. So
        // something is written in any case; it comes after the command, so what it waits for has that, too.
        let mark = slots::key(command).map(|key| keys::written(slots::tag(key)));
        let mut marking = redis::cmd("INCR");
        marking.arg(mark.expect("what waits for replicas has a key"));
        let marked = Self::sent::<u64>(&marking, is_asking, &mut connection).await;
        let mut wait = redis::cmd("WAIT");
        let most = self.manner.deadline.mul_f32(0.75).as_millis();
        let of = if is_planted("no-wait") { 0 } else { self.manner.replicas };
        wait.arg(of).arg(u64::try_from(most).expect("a deadline is short"));
        let have = match marked {
            Ok(_) => wait.query_async::<u32>(&mut connection).await.map_err(Failure::from),
            Err(error) => Err(error),
        };
        match have {
            Ok(have) if have >= of => {
                self.free.lock().push(connection);
                Ok(answer)
            }
            Ok(have) => {
                let short = format!("{have} of the {of} replicas of --redis-replicas have it");
                Err(StoreError::Unknown(short).into())
            }
            Err(failure) => {
                let why = failure.outcome();
                let unknown = format!("it is not known whether replicas have it: {why}");
                Err(StoreError::Unknown(unknown).into())
            }
        }
    }

    /// Sends one command on this connection. Both words of one that another node sent here go out together, so that
    /// nothing else is asked for in between.
    async fn sent<T: FromRedisValue>(
        command: &Cmd,
        is_asking: bool,
        connection: &mut MultiplexedConnection,
    ) -> Result<T, Failure> {
        if !is_asking {
            return Ok(command.query_async(connection).await?);
        }
        let mut both = redis::pipe();
        both.cmd("ASKING").ignore().add_command(command.clone()).ignore_errors();
        let answers: Vec<RedisResult<T>> = both.query_async(connection).await?;
        let nothing = || Err(std::io::Error::from(std::io::ErrorKind::UnexpectedEof).into());
        Ok(answers.into_iter().next().unwrap_or_else(nothing)?)
    }

    async fn connected(&self) -> Result<MultiplexedConnection, StoreError> {
        let mut open = self.shared.lock().await;
        if let Some(connection) = &*open {
            return Ok(connection.clone());
        }
        let connection = self.checked().await?;
        *open = Some(connection.clone());
        Ok(connection)
    }

    /// A new connection. Behind the same address there may be another Redis than before.
    async fn checked(&self) -> Result<MultiplexedConnection, StoreError> {
        let mut connection = self.unchecked().await?;
        let Manner { deadline, durability, .. } = self.manner;
        facts::keeps_orders(&mut connection, deadline, durability, self.is_watched()).await?;
        Ok(connection)
    }

    const fn is_watched(&self) -> bool {
        matches!(self.place, Place::Watched(_))
    }

    /// A connection of its own, to a Redis of which nothing is known yet.
    pub(super) async fn unchecked(&self) -> Result<MultiplexedConnection, StoreError> {
        self.reach(&self.manner.way).await
    }

    /// What it says of itself.
    pub(super) async fn facts(&self) -> Result<Facts, StoreError> {
        Facts::ask(&mut self.unchecked().await?, self.manner.deadline).await
    }

    async fn reach(&self, way: &Way) -> Result<MultiplexedConnection, StoreError> {
        let client = match &self.place {
            Place::At(address) => way.to(address)?,
            // They may have promoted another Redis since.
            Place::Watched(sentinels) => way.to(&sentinels.primary().await?)?,
        };
        self.manner.connect(&client).await
    }

    /// Loads the function library; one that is there already is left as it is.
    pub(super) async fn load(&self) -> Result<(), StoreError> {
        let loading = async {
            let mut connection = match &self.manner.loader {
                Some(user) => self.reach(&self.manner.way.as_user(user)).await?,
                None => self.connected().await?,
            };
            let mut load = redis::cmd("FUNCTION");
            load.arg("LOAD").arg(library::SOURCE.as_str());
            match load.query_async::<()>(&mut connection).await {
                Ok(()) => Ok(()),
                Err(error) if error.to_string().contains("already exists") => Ok(()),
                Err(error) => Err(meaning(&error)),
            }
        };
        let late = || Err(StoreError::Refused("the function library could not be loaded".into()));
        tokio::time::timeout(self.manner.deadline, loading).await.unwrap_or_else(|_| late())
    }
}
