//! A transaction of PostgreSQL for each click, or for as many as have gathered while the last one was on its way.

use crate::shop::{Click, Shop, Told};
use anyhow::Context;
use std::sync::Arc;
use tokio::sync::{mpsc, oneshot};
use tokio_postgres::{Client, NoTls, Statement};

const TABLES: &str = include_str!("postgres.sql");
const CONNECTIONS: usize = 16;
/// Clicks that may wait for a connection.
const WAITING: usize = 65_536;

type Asked = (Click, oneshot::Sender<Result<Told, tokio_postgres::Error>>);

/// Clicks on their way to the database.
#[derive(Debug)]
pub(crate) struct Postgres {
    clicks: mpsc::Sender<Asked>,
}

impl Postgres {
    /// Connects and makes the tables. With `gathered`, one connection takes up to so many clicks at once; else
    /// each of many takes one.
    pub(crate) async fn connect(
        store: &str,
        shop: Shop,
        gathered: Option<usize>,
    ) -> anyhow::Result<Self> {
        let first = client(store).await?;
        first.batch_execute(TABLES).await.context("cannot make the tables")?;
        first.execute("INSERT INTO sale VALUES ($1)", &[&shop.stock]).await?;
        let (clicks, asked) = mpsc::channel(WAITING);
        match gathered {
            Some(most) => {
                let all = first.prepare("SELECT buy_all($1, $2, $3, $4)").await?;
                tokio::spawn(gather(first, all, asked, shop, most));
            }
            None => {
                let asked = Arc::new(tokio::sync::Mutex::new(asked));
                for _ in 0..CONNECTIONS {
                    let client = client(store).await?;
                    let one = client.prepare("SELECT buy($1, $2, $3, $4)").await?;
                    tokio::spawn(one_by_one(client, one, Arc::clone(&asked), shop));
                }
            }
        }
        Ok(Self { clicks })
    }

    pub(crate) async fn buy(&self, click: Click) -> anyhow::Result<Told> {
        let (told, answer) = oneshot::channel();
        self.clicks.send((click, told)).await.context("no connection is left")?;
        Ok(answer.await??)
    }
}

async fn client(store: &str) -> anyhow::Result<Client> {
    let (client, connection) = tokio_postgres::connect(store, NoTls).await?;
    // The caller that awaits an answer on this connection gets its errors as well.
    tokio::spawn(async move { connection.await.ok() });
    Ok(client)
}

async fn one_by_one(
    client: Client,
    buy: Statement,
    asked: Arc<tokio::sync::Mutex<mpsc::Receiver<Asked>>>,
    shop: Shop,
) {
    while let Some((Click { member, tier, units }, told)) = next(&asked).await {
        let row = client.query_one(&buy, &[&member, &tier, &units, &shop.limit]).await;
        // A caller that is gone needs no answer.
        told.send(row.map(|row| Told::confirmed(row.get(0)))).ok();
    }
}

async fn next(asked: &tokio::sync::Mutex<mpsc::Receiver<Asked>>) -> Option<Asked> {
    asked.lock().await.recv().await
}

async fn gather(
    client: Client,
    buy_all: Statement,
    mut asked: mpsc::Receiver<Asked>,
    shop: Shop,
    most: usize,
) {
    let mut batch: Vec<Asked> = Vec::with_capacity(most);
    while asked.recv_many(&mut batch, most).await > 0 {
        let of = |word: fn(&Click) -> &str| -> Vec<&str> {
            batch.iter().map(|(click, _)| word(click)).collect()
        };
        let (members, tiers) = (of(|click| &click.member), of(|click| &click.tier));
        let units: Vec<i64> = batch.iter().map(|(click, _)| click.units).collect();
        let row = client.query_one(&buy_all, &[&members, &tiers, &units, &shop.limit]).await;
        match row {
            Ok(row) => {
                let answers: Vec<i64> = row.get(0);
                for ((_, told), answer) in batch.drain(..).zip(answers) {
                    told.send(Ok(Told::confirmed(answer))).ok();
                }
            }
            // Dropping the senders tells the callers that there is no answer.
            Err(_) => batch.clear(),
        }
    }
}
