//! To ask a task something, and to hear of it also where the task ends.

use tokio::sync::{mpsc, oneshot};

/// Sends the task that reads `queue` a message, and returns its answer; none where the task has ended, or ends without one.
///
/// Not to be had by waiting for the answer alone: a message that comes just when the receiver is dropped stays in the queue, neither
/// read nor dropped, for as long as somebody holds a sender, such as who asks.
pub(crate) async fn ask<M, T>(
    queue: &mpsc::Sender<M>,
    message: impl FnOnce(oneshot::Sender<T>) -> M + Send,
) -> Option<T> {
    let (reply, mut answer) = oneshot::channel();
    queue.reserve().await.ok()?.send(message(reply));
    tokio::select! {
        biased;
        answered = &mut answer => answered.ok(),
        // What the task had to say it has said.
        () = queue.closed() => answer.try_recv().ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_task_that_answers_is_heard() {
        let (queue, mut asked) = mpsc::channel::<oneshot::Sender<u8>>(1);
        let task = tokio::spawn(async move {
            let _ = asked.recv().await.unwrap().send(1);
            drop(asked.recv().await.unwrap());
        });
        assert_eq!(ask(&queue, |reply| reply).await, Some(1));
        assert_eq!(ask(&queue, |reply| reply).await, None, "it dropped the question");
        task.await.unwrap();
        assert_eq!(ask(&queue, |reply| reply).await, None, "it has ended");
    }

    #[tokio::test]
    async fn a_task_that_ends_just_when_it_is_asked_is_not_waited_for() {
        let (queue, asked) = mpsc::channel::<oneshot::Sender<u8>>(1);
        let late = ask(&queue, |reply| {
            drop(asked);
            reply
        });
        let late = tokio::time::timeout(std::time::Duration::from_secs(10), late).await;
        assert_eq!(late, Ok(None));
    }

    #[tokio::test]
    async fn an_answer_given_just_before_the_end_is_heard() {
        let (queue, mut asked) = mpsc::channel::<oneshot::Sender<u8>>(1);
        let answers = async {
            let _ = asked.recv().await.unwrap().send(2);
            drop(asked);
        };
        assert_eq!(tokio::join!(ask(&queue, |reply| reply), answers).0, Some(2));
    }
}
