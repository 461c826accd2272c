//! The exercises: what a notebook says under 参考答案 passes its own check, and typical wrong answers do
//! not: each is told what is wrong with it.

use std::path::PathBuf;

use crate::common::{self, LIMIT, ok, project, run_within};
use crate::services::{self, Service};
use base::ipynb::Notebook;
use runner::client::{KernelClient, Outcome};

/// The exercises of a notebook.
struct Exercises {
    /// The beginning of the file name.
    notebook: &'static str,
    /// The cells, by their ids, that exercises and checks build on.
    before: &'static [&'static str],
    /// In the notebook's order, by the ids of the checks.
    checks: &'static [(&'static str, &'static [Wrong])],
}

/// What the check says of a wrong answer, a part of it, and the answer.
type Wrong = (&'static str, &'static str);

/// The answer is what the exercise's cell says already.
const UNCHANGED: &str = "";

const GUIDE: Exercises = Exercises {
    notebook: "00",
    before: &["deps", "await", "background"],
    checks: &[(
        "check-1",
        &[
            ("还在返回 0", UNCHANGED),
            (
                "得到 84",
                "async fn sum_of_squares(a: u32, b: u32) -> u32 { 84 }",
            ),
            (
                "不要写死",
                "async fn sum_of_squares(a: u32, b: u32) -> u32 { 25 }",
            ),
            (
                "却没有等到 square",
                "async fn sum_of_squares(a: u32, b: u32) -> u32 { a * a + b * b }",
            ),
            (
                "却没有等到 square",
                "async fn sum_of_squares(a: u32, b: u32) -> u32 {
                    let _ = (square(a), square(b));
                    std::thread::sleep(Duration::from_millis(200));
                    a * a + b * b
                }",
            ),
            (
                "却做完了 2 次",
                "async fn sum_of_squares(a: u32, b: u32) -> u32 { square(a).await + b * b }",
            ),
            (
                "只有一个数的平方",
                "async fn sum_of_squares(a: u32, b: u32) -> u32 { square(b).await }",
            ),
            (
                "两次问的是同一个数",
                "async fn sum_of_squares(a: u32, b: u32) -> u32 {
                    square(a).await + square(a).await
                }",
            ),
        ],
    )],
};

const WHY_COROUTINES: Exercises = Exercises {
    notebook: "01",
    before: &[
        "deps",
        "parallel",
        "four",
        "cost",
        "cost-tasks",
        "hall",
        "hall-wait",
        "deposit",
        "threads",
        "tasks",
        "await-between",
        "deposit-timeline",
        "draw",
        "spinner-thread",
        "frames",
        "spin",
        "double",
        "drop-spinner",
    ],
    checks: &[
        (
            "check-1",
            &[
                ("先猜，写进 GUESS", UNCHANGED),
                ("甲猜得不对", "const GUESS: [u32; 4] = [3, 2, 3, 2];"),
                ("乙猜得不对", "const GUESS: [u32; 4] = [1, 1, 3, 2];"),
                ("丙猜得不对", "const GUESS: [u32; 4] = [1, 2, 1, 2];"),
                ("丁猜得不对", "const GUESS: [u32; 4] = [1, 2, 3, 1];"),
                ("丁猜得不对", "const GUESS: [u32; 4] = [1, 2, 3, 4];"),
            ],
        ),
        (
            "check-2",
            &[
                (" 个客人各占一个线程", UNCHANGED),
                (
                    "任务里用 wait(&hall).await",
                    "async fn host(hall: Arc<Hall>, guests: usize) {
                        let mut tasks = JoinSet::new();
                        for _ in 0..guests {
                            let hall = hall.clone();
                            tasks.spawn(async move { wait_in_thread(&hall) });
                        }
                        tasks.join_all().await;
                    }",
                ),
                (
                    "任务里用 wait(&hall).await",
                    "async fn host(hall: Arc<Hall>, guests: usize) {
                        let mut tasks = JoinSet::new();
                        for _ in 0..guests {
                            let hall = hall.clone();
                            tasks.spawn_blocking(move || wait_in_thread(&hall));
                        }
                        tasks.join_all().await;
                    }",
                ),
                (
                    "开门的时候只来了 1 个",
                    "async fn host(hall: Arc<Hall>, guests: usize) {
                        for _ in 0..guests {
                            let hall = hall.clone();
                            tokio::spawn(async move { wait(&hall).await }).await.unwrap();
                        }
                    }",
                ),
                (
                    "客人还没有走完",
                    "async fn host(hall: Arc<Hall>, guests: usize) {
                        let mut tasks = JoinSet::new();
                        for _ in 0..guests {
                            let hall = hall.clone();
                            tasks.spawn(async move { wait(&hall).await });
                        }
                        tasks.join_next().await;
                        tasks.detach_all();
                    }",
                ),
                (
                    "客人还没有走完",
                    "async fn host(hall: Arc<Hall>, guests: usize) {
                        for _ in 0..guests {
                            let hall = hall.clone();
                            tokio::spawn(async move { wait(&hall).await });
                        }
                    }",
                ),
                (
                    " 个客人只用了 1 个任务",
                    "async fn host(hall: Arc<Hall>, guests: usize) {
                        futures::future::join_all((0..guests).map(|_| wait(&hall))).await;
                    }",
                ),
                (
                    "客人不在任务里",
                    "async fn host(hall: Arc<Hall>, guests: usize) {
                        let runtime = tokio::runtime::Handle::current();
                        let all = (0..guests).map(|_| {
                            let (hall, runtime) = (hall.clone(), runtime.clone());
                            thread::spawn(move || runtime.block_on(wait(&hall)))
                        });
                        for thread in all.collect::<Vec<_>>() {
                            thread.join().unwrap();
                        }
                    }",
                ),
                (
                    " 个线程：block_on 占着线程等",
                    "async fn host(hall: Arc<Hall>, guests: usize) {
                        let mut tasks = JoinSet::new();
                        for _ in 0..guests {
                            let hall = hall.clone();
                            tasks.spawn_blocking(move || {
                                tokio::runtime::Handle::current().block_on(wait(&hall))
                            });
                        }
                        tasks.join_all().await;
                    }",
                ),
                (
                    " 个线程：block_on 占着线程等",
                    "async fn host(hall: Arc<Hall>, guests: usize) {
                        let mut tasks = JoinSet::new();
                        for _ in 0..guests {
                            let hall = hall.clone();
                            tasks.spawn(async move {
                                tokio::runtime::Handle::current().block_on(wait(&hall))
                            });
                        }
                        tasks.join_all().await;
                    }",
                ),
                (
                    "客人还没有走完",
                    "async fn host(hall: Arc<Hall>, guests: usize) {
                        let mut last = None;
                        for _ in 0..guests {
                            let hall = hall.clone();
                            last = Some(tokio::spawn(async move { wait(&hall).await }));
                        }
                        last.unwrap().await.unwrap();
                    }",
                ),
                (
                    "只来了 200 个",
                    "async fn host(hall: Arc<Hall>, _guests: usize) {
                        let mut tasks = JoinSet::new();
                        for _ in 0..200 {
                            let hall = hall.clone();
                            tasks.spawn(async move { wait(&hall).await });
                        }
                        tasks.join_all().await;
                    }",
                ),
                (
                    "没有人在等：wait(&hall) 只造好一个 future",
                    "async fn host(hall: Arc<Hall>, guests: usize) {
                        let mut tasks = JoinSet::new();
                        for _ in 0..guests {
                            let hall = hall.clone();
                            tasks.spawn(async move { drop(wait(&hall)) });
                        }
                        tasks.join_all().await;
                    }",
                ),
            ],
        ),
        (
            "check-3",
            &[
                ("少了 100：读和写之间还有 .await", UNCHANGED),
                (
                    "等的时候占着线程",
                    "async fn safe_deposit(balance: Arc<Mutex<u32>>) {
                        thread::sleep(Duration::from_millis(20));
                        *balance.lock().unwrap() += 100;
                    }",
                ),
                (
                    "没有等 20 毫秒",
                    "async fn safe_deposit(balance: Arc<Mutex<u32>>) {
                        *balance.lock().unwrap() += 100;
                    }",
                ),
                (
                    "没有等 20 毫秒",
                    "async fn safe_deposit(balance: Arc<Mutex<u32>>) {
                        let _ = sleep(Duration::from_millis(20));
                        *balance.lock().unwrap() += 100;
                    }",
                ),
                (
                    "没有等 20 毫秒",
                    "async fn safe_deposit(balance: Arc<Mutex<u32>>) {
                        tokio::task::yield_now().await;
                        *balance.lock().unwrap() += 100;
                    }",
                ),
                (
                    "应为 230，得到 200",
                    "async fn safe_deposit(balance: Arc<Mutex<u32>>) {
                        sleep(Duration::from_millis(20)).await;
                        *balance.lock().unwrap() = 200;
                    }",
                ),
            ],
        ),
        (
            "check-4",
            &[
                ("只画了 0 帧", UNCHANGED),
                ("应等 0.35 秒", "async fn slow_fixed() -> u32 { 42 }"),
                (
                    "应等 0.35 秒",
                    "async fn slow_fixed() -> u32 {
                        sleep(Duration::from_millis(210)).await;
                        42
                    }",
                ),
                (
                    "应是 0.35 秒",
                    "async fn slow_fixed() -> u32 {
                        sleep(Duration::from_secs(5)).await;
                        42
                    }",
                ),
                (
                    "有一次占了线程",
                    "async fn slow_fixed() -> u32 {
                        for _ in 0..7 {
                            thread::sleep(Duration::from_millis(50));
                            tokio::task::yield_now().await;
                        }
                        42
                    }",
                ),
                (
                    "结果应为 42，得到 0",
                    "async fn slow_fixed() -> u32 {
                        sleep(Duration::from_millis(350)).await;
                        0
                    }",
                ),
            ],
        ),
        (
            "check-5",
            &[
                ("等 double 的时候占着线程", UNCHANGED),
                (
                    "没有结果：total panic 了",
                    "async fn total(a: u32, b: u32) -> u32 {
                        let event_loop = tokio::original::runtime::Runtime::new().unwrap();
                        event_loop.block_on(double(a)) + event_loop.block_on(double(b))
                    }",
                ),
                (
                    "等 double 的时候占着线程",
                    "async fn total(a: u32, b: u32) -> u32 {
                        tokio::task::yield_now().await;
                        let event_loop = tokio::runtime::Runtime::new().unwrap();
                        event_loop.block_on(double(a)) + event_loop.block_on(double(b))
                    }",
                ),
                (
                    "等 double 的时候占着线程",
                    "async fn total(a: u32, b: u32) -> u32 {
                        futures::executor::block_on(double(a)) + double(b).await
                    }",
                ),
                (
                    "在别的线程上算的",
                    "async fn total(a: u32, b: u32) -> u32 {
                        let in_task = async move {
                            let event_loop = tokio::runtime::Handle::current();
                            event_loop.block_on(double(a)) + event_loop.block_on(double(b))
                        };
                        tokio::spawn(in_task).await.unwrap()
                    }",
                ),
                (
                    "，得到 14",
                    "async fn total(_a: u32, _b: u32) -> u32 {
                        double(3).await + double(4).await
                    }",
                ),
                (
                    "在别的线程上算的",
                    "async fn total(a: u32, b: u32) -> u32 {
                        let in_thread = move || {
                            let event_loop = tokio::original::runtime::Runtime::new().unwrap();
                            event_loop.block_on(double(a)) + event_loop.block_on(double(b))
                        };
                        thread::spawn(in_thread).join().unwrap()
                    }",
                ),
                (
                    "在别的线程上算的",
                    "async fn total(a: u32, b: u32) -> u32 {
                        let in_thread = move || {
                            let event_loop = tokio::original::runtime::Runtime::new().unwrap();
                            event_loop.block_on(double(a)) + event_loop.block_on(double(b))
                        };
                        tokio::task::spawn_blocking(in_thread).await.unwrap()
                    }",
                ),
                (
                    "没有用 double 算",
                    "async fn total(a: u32, b: u32) -> u32 {
                        a * 2 + b * 2
                    }",
                ),
                (
                    "，得到 ",
                    "async fn total(a: u32, b: u32) -> u32 {
                        double(a).await + b * 2
                    }",
                ),
                (
                    "，得到 ",
                    "async fn total(a: u32, b: u32) -> u32 {
                        let (a, _) = (double(a).await, double(b).await);
                        a
                    }",
                ),
            ],
        ),
        (
            "check-6",
            &[
                ("取消以后没有减", UNCHANGED),
                (
                    "进来一个应是 6",
                    "struct Guest(Arc<Mutex<i32>>);

                    impl Drop for Guest {
                        fn drop(&mut self) {
                            *self.0.lock().unwrap() -= 1;
                        }
                    }

                    async fn visit(inside: Arc<Mutex<i32>>) {
                        *inside.lock().unwrap() += 1;
                        let _ = Guest(inside);
                        sleep(Duration::from_millis(20)).await;
                    }",
                ),
                (
                    "取消以后应是 6，得到 0",
                    "struct Guest(Arc<Mutex<i32>>);

                    impl Drop for Guest {
                        fn drop(&mut self) {
                            *self.0.lock().unwrap() = 0;
                        }
                    }

                    async fn visit(inside: Arc<Mutex<i32>>) {
                        *inside.lock().unwrap() += 1;
                        let _guest = Guest(inside);
                        sleep(Duration::from_millis(20)).await;
                    }",
                ),
                (
                    "把他也减掉了",
                    "struct Guest(Arc<Mutex<i32>>, i32);

                    impl Drop for Guest {
                        fn drop(&mut self) {
                            *self.0.lock().unwrap() = self.1;
                        }
                    }

                    async fn visit(inside: Arc<Mutex<i32>>) {
                        let before = *inside.lock().unwrap();
                        *inside.lock().unwrap() += 1;
                        let _guest = Guest(inside, before);
                        sleep(Duration::from_millis(20)).await;
                    }",
                ),
                (
                    "没有取消的时候减了两次",
                    "struct Guest(Arc<Mutex<i32>>);

                    impl Drop for Guest {
                        fn drop(&mut self) {
                            *self.0.lock().unwrap() -= 1;
                        }
                    }

                    async fn visit(inside: Arc<Mutex<i32>>) {
                        *inside.lock().unwrap() += 1;
                        let _guest = Guest(inside.clone());
                        sleep(Duration::from_millis(20)).await;
                        *inside.lock().unwrap() -= 1;
                    }",
                ),
                (
                    "sleep(…).await 要保留",
                    "async fn visit(inside: Arc<Mutex<i32>>) {
                        *inside.lock().unwrap() += 1;
                        thread::sleep(Duration::from_millis(20));
                        *inside.lock().unwrap() -= 1;
                    }",
                ),
                (
                    "进来一个应是 6",
                    "async fn visit(_inside: Arc<Mutex<i32>>) {
                        sleep(Duration::from_millis(20)).await;
                    }",
                ),
            ],
        ),
        (
            "check-7",
            &[
                ("过了时限还在等", UNCHANGED),
                (
                    "应给出它的结果 7",
                    "async fn patient(slow: Slow, limit: Duration) -> u32 {
                        sleep(limit).await;
                        drop(slow);
                        0
                    }",
                ),
                (
                    "应给出 0，得到 7",
                    "async fn patient(_slow: Slow, _limit: Duration) -> u32 { 7 }",
                ),
                (
                    "时限是 limit",
                    "async fn patient(slow: Slow, _limit: Duration) -> u32 {
                        timeout(Duration::from_millis(200), slow).await.unwrap_or(0)
                    }",
                ),
                (
                    "那件事却还在后台做",
                    "async fn patient(slow: Slow, limit: Duration) -> u32 {
                        let task = tokio::spawn(slow);
                        timeout(limit, task).await.map_or(0, Result::unwrap)
                    }",
                ),
                (
                    "却等满了时限",
                    "async fn patient(slow: Slow, limit: Duration) -> u32 {
                        let task = tokio::spawn(slow);
                        sleep(limit).await;
                        task.abort();
                        task.await.unwrap_or(0)
                    }",
                ),
            ],
        ),
    ],
};

const DEFINE_AND_RUN: Exercises = Exercises {
    notebook: "02",
    before: &[
        "deps",
        "lazy",
        "boxed",
        "join",
        "join-timeline",
        "join-handle",
        "drop-handle",
        "joinset",
        "guard",
        "select",
        "fetch",
        "countdown-items",
        "countdown",
        "unpark",
        "my-block-on",
        "block-on-by-hand",
        "machine-enum",
        "wakeup",
        "executor",
        "radio",
        "rescue",
        "twice",
    ],
    checks: &[
        (
            "check-1",
            &[
                ("只是调用 lazily，就已经加了", UNCHANGED),
                (
                    "没有人 .await，它自己做了",
                    "fn lazily(done: Arc<AtomicU32>) -> Pin<Box<dyn Future<Output = u32> + Send>> {
                        let task = tokio::spawn(async move { done.fetch_add(1, Ordering::SeqCst) + 1 });
                        Box::pin(async { task.await.unwrap() })
                    }",
                ),
                (
                    "，返回的却是 ",
                    "fn lazily(done: Arc<AtomicU32>) -> Pin<Box<dyn Future<Output = u32> + Send>> {
                        Box::pin(async move { done.fetch_add(1, Ordering::SeqCst) })
                    }",
                ),
                (
                    "应加一次，加了 0",
                    "fn lazily(_: Arc<AtomicU32>) -> Pin<Box<dyn Future<Output = u32> + Send>> {
                        Box::pin(async { 7 })
                    }",
                ),
            ],
        ),
        (
            "check-2",
            &[
                ("一件接着一件", UNCHANGED),
                (
                    "不能写死",
                    r#"async fn three(a: Job, b: Job, c: Job) -> (&'static str, &'static str, &'static str) {
                        ("甲", "乙", "丙")
                    }"#,
                ),
                (
                    "只做完 1 件，其余的丢弃了",
                    "async fn three(a: Job, b: Job, c: Job) -> (&'static str, &'static str, &'static str) {
                        let first: &'static str = select! { x = a => x, x = b => x, x = c => x };
                        (first, first, first)
                    }",
                ),
                (
                    "同时进行的最多 2 件",
                    "async fn three(a: Job, b: Job, c: Job) -> (&'static str, &'static str, &'static str) {
                        let (a, b) = join!(a, b);
                        (a, b, c.await)
                    }",
                ),
                (
                    "返回值应为",
                    "async fn three(a: Job, b: Job, c: Job) -> (&'static str, &'static str, &'static str) {
                        join!(c, b, a)
                    }",
                ),
                (
                    "一件接着一件",
                    "async fn three(a: Job, b: Job, c: Job) -> (&'static str, &'static str, &'static str) {
                        let event_loop = tokio::runtime::Runtime::new().unwrap();
                        (event_loop.block_on(a), event_loop.block_on(b), event_loop.block_on(c))
                    }",
                ),
            ],
        ),
        (
            "check-3",
            &[
                ("一件接着一件：要先都启动，再等", UNCHANGED),
                (
                    "一件接着一件：要先都启动，再等",
                    "async fn all_tasks(jobs: Vec<Job>) -> Vec<&'static str> {
                        let mut results = Vec::new();
                        for task in jobs.into_iter().map(tokio::spawn) {
                            results.push(task.await.unwrap());
                        }
                        results
                    }",
                ),
                (
                    "三件事在同一个任务里",
                    "async fn all_tasks(jobs: Vec<Job>) -> Vec<&'static str> {
                        futures::future::join_all(jobs).await
                    }",
                ),
                (
                    "应按 jobs 的次序",
                    "async fn all_tasks(jobs: Vec<Job>) -> Vec<&'static str> {
                        let mut tasks: JoinSet<_> = jobs.into_iter().collect();
                        let mut results = Vec::new();
                        while let Some(result) = tasks.join_next().await {
                            results.push(result.unwrap());
                        }
                        results
                    }",
                ),
                (
                    "返回值不能写死",
                    r#"async fn all_tasks(_jobs: Vec<Job>) -> Vec<&'static str> {
                        vec!["子", "丑", "寅"]
                    }"#,
                ),
            ],
        ),
        (
            "check-4",
            &[
                ("两件都做完了才返回", UNCHANGED),
                (
                    "落败的还在做",
                    "async fn race(left: Job, right: Job) -> &'static str {
                        select! {
                            winner = tokio::spawn(left) => winner.unwrap(),
                            winner = tokio::spawn(right) => winner.unwrap(),
                        }
                    }",
                ),
                (
                    "落败的还在做",
                    "async fn race(left: Job, right: Job) -> &'static str {
                        select! {
                            biased;
                            winner = tokio::spawn(left) => winner.unwrap(),
                            winner = right => winner,
                        }
                    }",
                ),
                (
                    "结果不能写死",
                    "async fn race(_left: Job, _right: Job) -> &'static str {
                        \"右\"
                    }",
                ),
                (
                    "先到的是右、左，得到 左、左",
                    "async fn race(left: Job, _right: Job) -> &'static str {
                        left.await
                    }",
                ),
            ],
        ),
        (
            "check-5",
            &[
                ("panic 和取消都成了 \"0\"", UNCHANGED),
                (
                    "settle 跟着 panic 了",
                    "async fn settle(task: JoinHandle<Result<usize, String>>) -> Result<usize, String> {
                        task.await.unwrap()
                    }",
                ),
                (
                    "panic 和取消都成了",
                    "async fn settle(task: JoinHandle<Result<usize, String>>) -> Result<usize, String> {
                        task.await.unwrap_or_else(|_| Err(\"panic\".to_string()))
                    }",
                ),
                (
                    "fetch 的错误应原样返回",
                    "async fn settle(task: JoinHandle<Result<usize, String>>) -> Result<usize, String> {
                        match task.await {
                            Ok(Ok(size)) => Ok(size),
                            Err(error) if error.is_cancelled() => Err(\"取消\".to_string()),
                            _ => Err(\"panic\".to_string()),
                        }
                    }",
                ),
                (
                    "得到",
                    "async fn settle(task: JoinHandle<Result<usize, String>>) -> Result<usize, String> {
                        match task.await {
                            Ok(result) => result,
                            Err(error) => Err(error.to_string()),
                        }
                    }",
                ),
            ],
        ),
        (
            "check-6",
            &[
                ("第一次轮询应回答 Pending", UNCHANGED),
                (
                    "要通知一次",
                    "struct YieldOnce(bool);
                    impl Future for YieldOnce {
                        type Output = ();
                        fn poll(mut self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<()> {
                            if self.0 {
                                return Poll::Ready(());
                            }
                            self.0 = true;
                            Poll::Pending
                        }
                    }",
                ),
                (
                    "第二次轮询应回答 Ready(())",
                    "struct YieldOnce(bool);
                    impl Future for YieldOnce {
                        type Output = ();
                        fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
                            cx.waker().wake_by_ref();
                            Poll::Pending
                        }
                    }",
                ),
            ],
        ),
        (
            "check-7",
            &[
                ("叫醒三次，排了 3 次队", UNCHANGED),
                (
                    "叫醒 2，它没有排上",
                    "struct WakeOnce(u32, Queue, thread::Thread);

                    impl Wake for WakeOnce {
                        fn wake(self: Arc<Self>) {
                            let WakeOnce(id, queue, executor) = &*self;
                            let mut queue = queue.lock().unwrap();
                            if queue.is_empty() {
                                queue.push_back(*id);
                            }
                            executor.unpark();
                        }
                    }",
                ),
                (
                    "不只是队尾",
                    "struct WakeOnce(u32, Queue, thread::Thread);

                    impl Wake for WakeOnce {
                        fn wake(self: Arc<Self>) {
                            let WakeOnce(id, queue, executor) = &*self;
                            let mut queue = queue.lock().unwrap();
                            if queue.back() != Some(id) {
                                queue.push_back(*id);
                            }
                            executor.unpark();
                        }
                    }",
                ),
                (
                    "它的位置变了",
                    "struct WakeOnce(u32, Queue, thread::Thread);

                    impl Wake for WakeOnce {
                        fn wake(self: Arc<Self>) {
                            let WakeOnce(id, queue, executor) = &*self;
                            let mut queue = queue.lock().unwrap();
                            queue.retain(|queued| queued != id);
                            queue.push_back(*id);
                            executor.unpark();
                        }
                    }",
                ),
                (
                    "没有 unpark",
                    "struct WakeOnce(u32, Queue, thread::Thread);

                    impl Wake for WakeOnce {
                        fn wake(self: Arc<Self>) {
                            let WakeOnce(id, queue, executor) = &*self;
                            let mut queue = queue.lock().unwrap();
                            if !queue.contains(id) {
                                queue.push_back(*id);
                            }
                            let _ = executor;
                        }
                    }",
                ),
                (
                    "没有排进队里",
                    "struct WakeOnce(u32, Queue, thread::Thread);

                    impl Wake for WakeOnce {
                        fn wake(self: Arc<Self>) {
                            let WakeOnce(id, queue, executor) = &*self;
                            let _ = queue;
                            executor.unpark();
                        }
                    }",
                ),
                (
                    "锁还拿着，又去拿它",
                    "struct WakeOnce(u32, Queue, thread::Thread);

                    impl Wake for WakeOnce {
                        fn wake(self: Arc<Self>) {
                            let WakeOnce(id, queue, executor) = &*self;
                            match queue.lock().unwrap().contains(id) {
                                true => {}
                                false => queue.lock().unwrap().push_back(*id),
                            }
                            executor.unpark();
                        }
                    }",
                ),
                (
                    "它没有排上",
                    r#"struct WakeOnce(u32, Queue, thread::Thread);

                    impl Wake for WakeOnce {
                        fn wake(self: Arc<Self>) {
                            let WakeOnce(id, queue, thread) = &*self;
                            let mut queue = queue.lock().unwrap();
                            if queue.iter().all(|queued| queued < id) {
                                queue.push_back(*id);
                            }
                            thread.unpark();
                        }
                    }"#,
                ),
            ],
        ),
        (
            "check-8",
            &[
                ("还没有消息，也没有关机", UNCHANGED),
                (
                    "还没有消息，也没有关机",
                    "async fn first(radio: &Radio) -> Option<u32> {
                        radio.listen(|_| {});
                        Some(7)
                    }",
                ),
                (
                    "Sender 只能用一次",
                    "async fn first(radio: &Radio) -> Option<u32> {
                        let (done, result) = oneshot::channel();
                        let mut done = Some(done);
                        radio.listen(move |message| drop(done.take().unwrap().send(message)));
                        result.await.ok()
                    }",
                ),
                (
                    "等到的是 Err",
                    "async fn first(radio: &Radio) -> Option<u32> {
                        let (done, result) = oneshot::channel();
                        let mut done = Some(done);
                        radio.listen(move |message| {
                            if let Some(done) = done.take() {
                                let _ = done.send(message);
                            }
                        });
                        Some(result.await.unwrap())
                    }",
                ),
                (
                    "送不出去就算了",
                    "async fn first(radio: &Radio) -> Option<u32> {
                        let (done, result) = oneshot::channel();
                        let mut done = Some(done);
                        radio.listen(move |message| {
                            if let Some(done) = done.take() {
                                done.send(message).unwrap();
                            }
                        });
                        result.await.ok()
                    }",
                ),
                (
                    "占着线程等回调",
                    "async fn first(radio: &Radio) -> Option<u32> {
                        let (done, result) = std::sync::mpsc::channel();
                        radio.listen(move |message| drop(done.send(message)));
                        result.recv().ok()
                    }",
                ),
                (
                    "占着线程等回调",
                    "async fn first(radio: &Radio) -> Option<u32> {
                        let (done, result) = std::sync::mpsc::channel();
                        radio.listen(move |message| drop(done.send(message)));
                        tokio::task::yield_now().await;
                        result.recv().ok()
                    }",
                ),
                (
                    "占着线程等回调",
                    "async fn first(radio: &Radio) -> Option<u32> {
                        let (done, result) = oneshot::channel();
                        let mut done = Some(done);
                        radio.listen(move |message| {
                            if let Some(done) = done.take() {
                                let _ = done.send(message);
                            }
                        });
                        futures::executor::block_on(result).ok()
                    }",
                ),
                (
                    "等到第一条就给出，不要等关机",
                    "async fn first(radio: &Radio) -> Option<u32> {
                        let heard = Arc::new(Mutex::new(None));
                        let note = heard.clone();
                        radio.listen(move |message| *note.lock().unwrap() = Some(message));
                        while Arc::strong_count(&heard) > 1 {
                            tokio::task::yield_now().await;
                        }
                        *heard.lock().unwrap()
                    }",
                ),
                (
                    "关机了，first 还在等",
                    "async fn first(radio: &Radio) -> Option<u32> {
                        let heard = Arc::new(Mutex::new(None));
                        let note = heard.clone();
                        radio.listen(move |message| drop(note.lock().unwrap().get_or_insert(message)));
                        loop {
                            if let Some(message) = *heard.lock().unwrap() {
                                return Some(message);
                            }
                            tokio::task::yield_now().await;
                        }
                    }",
                ),
                (
                    "等到第一条就给出，不要等关机",
                    r#"async fn first(radio: &Radio) -> Option<u32> {
                        let (to, mut heard) = tokio::sync::mpsc::unbounded_channel();
                        radio.listen(move |message| {
                            let _ = to.send(message);
                        });
                        let mut first = None;
                        while let Some(message) = heard.recv().await {
                            first = first.or(Some(message));
                        }
                        first
                    }"#,
                ),
            ],
        ),
        (
            "check-9",
            &[
                ("twice(3) 得到 6，这里得到 0", UNCHANGED),
                (
                    "一次轮询就完成了",
                    "enum Twice { Start(u32), First(u32, Countdown), Second(u32, Countdown) }
                    impl Future for Twice {
                        type Output = u32;
                        fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<u32> {
                            let Twice::Start(n) = *self else { unreachable!() };
                            for _ in 0..2 {
                                let mut waiting = Countdown(n);
                                while Pin::new(&mut waiting).poll(cx).is_pending() {}
                            }
                            Poll::Ready(n * 2)
                        }
                    }",
                ),
                (
                    "少等了一次倒计时，只轮询了 4 次",
                    "enum Twice { Start(u32), First(u32, Countdown), Second(u32, Countdown) }
                    impl Future for Twice {
                        type Output = u32;
                        fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<u32> {
                            loop {
                                *self = match &mut *self {
                                    Twice::Start(n) => Twice::First(*n, Countdown(*n)),
                                    Twice::First(n, waiting) | Twice::Second(n, waiting) => {
                                        ready!(Pin::new(waiting).poll(cx));
                                        return Poll::Ready(*n * 2);
                                    }
                                };
                            }
                        }
                    }",
                ),
                (
                    "轮询了 9 次，应为 7 次",
                    "enum Twice { Start(u32), First(u32, Countdown), Second(u32, Countdown) }
                    impl Future for Twice {
                        type Output = u32;
                        fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<u32> {
                            *self = match &mut *self {
                                Twice::Start(n) => Twice::First(*n, Countdown(*n)),
                                Twice::First(n, waiting) => {
                                    ready!(Pin::new(waiting).poll(cx));
                                    Twice::Second(*n, Countdown(*n))
                                }
                                Twice::Second(n, waiting) => {
                                    ready!(Pin::new(waiting).poll(cx));
                                    return Poll::Ready(*n * 2);
                                }
                            };
                            Poll::Pending
                        }
                    }",
                ),
                (
                    "轮询 20 次还没有完成",
                    "enum Twice { Start(u32), First(u32, Countdown), Second(u32, Countdown) }
                    impl Future for Twice {
                        type Output = u32;
                        fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<u32> {
                            *self = match *self {
                                Twice::Start(n) | Twice::First(n, _) | Twice::Second(n, _) => {
                                    Twice::First(n, Countdown(n))
                                }
                            };
                            let Twice::First(n, waiting) = &mut *self else { unreachable!() };
                            ready!(Pin::new(waiting).poll(cx));
                            Poll::Ready(*n * 2)
                        }
                    }",
                ),
            ],
        ),
    ],
};

const DOWNLOAD_FLAGS: Exercises = Exercises {
    notebook: "03",
    before: &[
        "deps",
        "local",
        "get",
        "get-flag-items",
        "get-flag",
        "delay",
        "sequential-items",
        "sequential",
        "concurrent-items",
        "concurrent",
        "four",
        "ways-futures",
        "ways-tasks",
        "half",
        "lazy",
        "as-tasks",
        "semaphore",
        "buffered",
        "error-type",
        "fetch",
        "fetch-flag",
        "status",
        "counts",
        "errors",
        "retry",
        "metadata",
        "country",
        "site",
        "site-new",
        "settled",
        "save-lost",
        "save",
        "download",
    ],
    checks: &[
        (
            "check-1",
            &[
                ("8 个请求用了 8 个连接", UNCHANGED),
                (
                    "同时发出的请求各要一个连接",
                    "async fn sizes(site: &str, codes: &[Code]) -> reqwest::Result<Vec<usize>> {
                        let client = Client::builder().no_proxy().build()?;
                        let all = codes.iter().map(|&code| get_flag(&client, site, code));
                        let pictures = futures::future::try_join_all(all).await?;
                        Ok(pictures.iter().map(Vec::len).collect())
                    }",
                ),
                (
                    "服务器给出了 0 面",
                    "async fn sizes(_site: &str, _codes: &[Code]) -> reqwest::Result<Vec<usize>> {
                        Ok(vec![602; 8])
                    }",
                ),
                (
                    "按 codes 的次序给出每一面的字节数",
                    "async fn sizes(site: &str, codes: &[Code]) -> reqwest::Result<Vec<usize>> {
                        let client = Client::builder().no_proxy().build()?;
                        let mut sizes = Vec::new();
                        for &code in codes.iter().rev() {
                            sizes.push(get_flag(&client, site, code).await?.len());
                        }
                        Ok(sizes)
                    }",
                ),
                (
                    "服务器给出了 16 面",
                    "async fn sizes(site: &str, codes: &[Code]) -> reqwest::Result<Vec<usize>> {
                        let client = Client::builder().no_proxy().build()?;
                        let mut sizes = Vec::new();
                        for &code in codes {
                            get_flag(&client, site, code).await?;
                            sizes.push(get_flag(&client, site, code).await?.len());
                        }
                        Ok(sizes)
                    }",
                ),
            ],
        ),
        (
            "check-2",
            &[
                ("先猜，写进 GUESS", UNCHANGED),
                ("甲猜得不对", "const GUESS: [u64; 4] = [4, 2, 4, 1];"),
                ("乙猜得不对", "const GUESS: [u64; 4] = [1, 1, 4, 1];"),
                ("乙猜得不对", "const GUESS: [u64; 4] = [1, 4, 4, 1];"),
                ("丙猜得不对", "const GUESS: [u64; 4] = [1, 2, 1, 1];"),
                ("丁猜得不对", "const GUESS: [u64; 4] = [1, 2, 4, 4];"),
            ],
        ),
        (
            "check-3",
            &[
                ("先完成的排在前面", UNCHANGED),
                (
                    "同时最多收到 1 个请求",
                    "async fn pictures(client: &Client, site: &str, codes: &[Code]) -> reqwest::Result<Vec<Vec<u8>>> {
                        let mut pictures = Vec::new();
                        for &code in codes {
                            pictures.push(get_flag(client, site, code).await?);
                        }
                        Ok(pictures)
                    }",
                ),
                (
                    "同时最多收到 4 个请求",
                    "async fn pictures(client: &Client, site: &str, codes: &[Code]) -> reqwest::Result<Vec<Vec<u8>>> {
                        futures::stream::iter(codes)
                            .map(|&code| get_flag(client, site, code))
                            .buffered(4)
                            .try_collect()
                            .await
                    }",
                ),
                (
                    "服务器给出了 0 面",
                    "async fn pictures(_: &Client, _: &str, codes: &[Code]) -> reqwest::Result<Vec<Vec<u8>>> {
                        Ok(vec![Vec::new(); codes.len()])
                    }",
                ),
                (
                    "没有 CN 的国旗",
                    "async fn pictures(client: &Client, site: &str, codes: &[Code]) -> reqwest::Result<Vec<Vec<u8>>> {
                        let all = codes.iter().map(|&code| get_flag(client, site, code));
                        let pictures = futures::future::try_join_all(all).await?;
                        Ok(pictures[1..].to_vec())
                    }",
                ),
                (
                    "先完成的排在前面",
                    "async fn pictures(client: &Client, site: &str, codes: &[Code]) -> reqwest::Result<Vec<Vec<u8>>> {
                        let mut tasks = tokio::task::JoinSet::new();
                        for &code in codes {
                            let (client, site) = (client.clone(), site.to_owned());
                            tasks.spawn(async move { get_flag(&client, &site, code).await });
                        }
                        tasks.join_all().await.into_iter().collect()
                    }",
                ),
            ],
        ),
        (
            "check-4",
            &[
                ("服务器同时收到", UNCHANGED),
                (
                    "同时只有 1 个请求",
                    "async fn polite(client: &Client, site: &str, code: Code, limit: &Semaphore) -> Vec<u8> {
                        let _permits = limit.acquire_many(5).await.unwrap();
                        get_flag(client, site, code).await.unwrap()
                    }",
                ),
                (
                    "应向服务器要 20 面国旗",
                    "async fn polite(_: &Client, _: &str, _: Code, _: &Semaphore) -> Vec<u8> {
                        Vec::new()
                    }",
                ),
                (
                    "同时只有 2 个请求，允许 5 个",
                    "async fn polite(client: &Client, site: &str, code: Code, limit: &Semaphore) -> Vec<u8> {
                        let _permits = limit.acquire_many(2).await.unwrap();
                        get_flag(client, site, code).await.unwrap()
                    }",
                ),
                (
                    "停住了：许可没有还",
                    r#"async fn polite(client: &Client, site: &str, code: Code, limit: &Semaphore) -> Vec<u8> {
                        limit.acquire().await.unwrap().forget();
                        get_flag(client, site, code).await.unwrap()
                    }"#,
                ),
                (
                    "同时只有 5 个请求，允许 8 个",
                    r#"async fn polite(client: &Client, site: &str, code: Code, _limit: &Semaphore) -> Vec<u8> {
                        static LIMIT: Semaphore = Semaphore::const_new(5);
                        let _permit = LIMIT.acquire().await.unwrap();
                        get_flag(client, site, code).await.unwrap()
                    }"#,
                ),
            ],
        ),
        (
            "check-5",
            &[
                ("404 应该只问 1 次，问了 5 次", UNCHANGED),
                (
                    "503 应该问 5 次，问了 1 次",
                    "async fn stubborn(client: &Client, site: &str, code: Code) -> Fetched<Vec<u8>> {
                        fetch_flag(client, site, code).await
                    }",
                ),
                (
                    "CN 是有的，应该问 1 次就得到，问了 5 次",
                    "async fn stubborn(client: &Client, site: &str, code: Code) -> Fetched<Vec<u8>> {
                        for _ in 0..4 {
                            if let Err(FlagError::NotFound) = fetch_flag(client, site, code).await {
                                return Err(FlagError::NotFound);
                            }
                        }
                        fetch_flag(client, site, code).await
                    }",
                ),
                (
                    "连接断了应该问 5 次，问了 1 次",
                    "async fn stubborn(client: &Client, site: &str, code: Code) -> Fetched<Vec<u8>> {
                        for _ in 0..4 {
                            match fetch_flag(client, site, code).await {
                                Err(FlagError::Status(_)) => {}
                                result => return result,
                            }
                        }
                        fetch_flag(client, site, code).await
                    }",
                ),
                (
                    "XX 应为 NotFound",
                    "async fn stubborn(client: &Client, site: &str, code: Code) -> Fetched<Vec<u8>> {
                        Ok(fetch_flag(client, site, code).await.unwrap_or_default())
                    }",
                ),
            ],
        ),
        (
            "check-6",
            &[
                ("停住了：手里拿着一张许可", UNCHANGED),
                (
                    "取国名也要许可",
                    "async fn greedy(site: Site, code: Code) -> Fetched<(String, Vec<u8>)> {
                        let permit = site.semaphore.acquire().await.unwrap();
                        let picture = fetch_flag(&site.client, &site.url, code).await?;
                        drop(permit);
                        let name = fetch_name(&site.client, &site.url, code).await?;
                        Ok((name, picture))
                    }",
                ),
                (
                    "有 1 张许可，服务器却同时收到",
                    "async fn greedy(site: Site, code: Code) -> Fetched<(String, Vec<u8>)> {
                        let _ = site.semaphore.acquire().await.unwrap();
                        let picture = fetch_flag(&site.client, &site.url, code).await?;
                        let _ = site.semaphore.acquire().await.unwrap();
                        let name = fetch_name(&site.client, &site.url, code).await?;
                        Ok((name, picture))
                    }",
                ),
                (
                    "只有 0 个的国旗和国名都对",
                    "async fn greedy(site: Site, code: Code) -> Fetched<(String, Vec<u8>)> {
                        let _for_flag = site.semaphore.acquire().await.unwrap();
                        let picture = fetch_flag(&site.client, &site.url, code).await?;
                        let Ok(_for_name) = site.semaphore.try_acquire() else {
                            return Err(FlagError::NotFound);
                        };
                        let name = fetch_name(&site.client, &site.url, code).await?;
                        Ok((name, picture))
                    }",
                ),
                (
                    "只有 1 个的国旗和国名都对",
                    "async fn greedy(site: Site, code: Code) -> Fetched<(String, Vec<u8>)> {
                        let _for_flag = site.semaphore.try_acquire().unwrap();
                        let picture = fetch_flag(&site.client, &site.url, code).await?;
                        let name = fetch_name(&site.client, &site.url, code).await?;
                        Ok((name, picture))
                    }",
                ),
                (
                    "应是 8 个请求，服务器收到 0 个",
                    "async fn greedy(site: Site, code: Code) -> Fetched<(String, Vec<u8>)> {
                        let country = flags::Country::find(code).unwrap();
                        let _permit = site.semaphore.acquire().await.unwrap();
                        Ok((country.name.to_owned(), country.picture.into()))
                    }",
                ),
                (
                    "有 3 张许可，服务器同时只收到 1 个请求",
                    "static ONE: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

                    async fn greedy(site: Site, code: Code) -> Fetched<(String, Vec<u8>)> {
                        let _one = ONE.lock().await;
                        let picture = fetch_flag(&site.client, &site.url, code).await?;
                        let name = fetch_name(&site.client, &site.url, code).await?;
                        Ok((name, picture))
                    }",
                ),
                (
                    "原来有 1 张许可，最后成了 5 张",
                    "async fn greedy(site: Site, code: Code) -> Fetched<(String, Vec<u8>)> {
                        let _permit = site.semaphore.acquire().await.unwrap();
                        let picture = fetch_flag(&site.client, &site.url, code).await?;
                        let name = fetch_name(&site.client, &site.url, code).await?;
                        site.semaphore.add_permits(1);
                        Ok((name, picture))
                    }",
                ),
                (
                    "原来有 1 张许可，最后成了 0 张",
                    "async fn greedy(site: Site, code: Code) -> Fetched<(String, Vec<u8>)> {
                        site.semaphore.acquire().await.unwrap().forget();
                        let picture = fetch_flag(&site.client, &site.url, code).await?;
                        let name = fetch_name(&site.client, &site.url, code).await?;
                        site.semaphore.add_permits(1);
                        Ok((name, picture))
                    }",
                ),
                (
                    "XX 没有国旗，却没有返回错误",
                    "async fn greedy(site: Site, code: Code) -> Fetched<(String, Vec<u8>)> {
                        let _permit = site.semaphore.acquire().await.unwrap();
                        let picture = fetch_flag(&site.client, &site.url, code).await;
                        let name = fetch_name(&site.client, &site.url, code).await;
                        Ok((name.unwrap_or_default(), picture.unwrap_or_default()))
                    }",
                ),
            ],
        ),
        (
            "check-7",
            &[
                ("没有人等", UNCHANGED),
                (
                    "flag.svg 写不进去，却返回了 Ok",
                    r#"async fn save_both(folder: PathBuf, flag: Vec<u8>, name: String) -> io::Result<()> {
                        let (flag_file, name_file) = (folder.join("flag.svg"), folder.join("name.txt"));
                        let _ = spawn_blocking(move || std::fs::write(flag_file, flag)).await?;
                        let _ = spawn_blocking(move || std::fs::write(name_file, name)).await?;
                        Ok(())
                    }"#,
                ),
                (
                    "name.txt 写不进去，却返回了 Ok",
                    r#"async fn save_both(folder: PathBuf, flag: Vec<u8>, name: String) -> io::Result<()> {
                        let (flag_file, name_file) = (folder.join("flag.svg"), folder.join("name.txt"));
                        let saving = spawn_blocking(move || std::fs::write(flag_file, flag));
                        drop(spawn_blocking(move || std::fs::write(name_file, name)));
                        saving.await?
                    }"#,
                ),
                (
                    "阻塞了任务的线程",
                    r#"async fn save_both(folder: PathBuf, flag: Vec<u8>, name: String) -> io::Result<()> {
                        std::fs::write(folder.join("flag.svg"), flag)?;
                        std::fs::write(folder.join("name.txt"), name)
                    }"#,
                ),
                (
                    "阻塞了任务的线程",
                    r#"async fn save_both(folder: PathBuf, flag: Vec<u8>, name: String) -> io::Result<()> {
                        let saving = std::thread::spawn(move || {
                            std::fs::write(folder.join("flag.svg"), flag)?;
                            std::fs::write(folder.join("name.txt"), name)
                        });
                        saving.join().unwrap()
                    }"#,
                ),
                (
                    "阻塞了任务的线程",
                    r#"async fn save_both(folder: PathBuf, flag: Vec<u8>, name: String) -> io::Result<()> {
                        tokio::fs::write(folder.join("flag.svg"), flag).await?;
                        std::fs::write(folder.join("name.txt"), name)
                    }"#,
                ),
                (
                    "阻塞了任务的线程",
                    r#"async fn save_both(folder: PathBuf, flag: Vec<u8>, name: String) -> io::Result<()> {
                        std::fs::write(folder.join("flag.svg"), flag)?;
                        std::fs::write(folder.join("name.txt"), name)?;
                        tokio::task::yield_now().await;
                        Ok(())
                    }"#,
                ),
                (
                    "阻塞了任务的线程",
                    r#"async fn save_both(folder: PathBuf, flag: Vec<u8>, name: String) -> io::Result<()> {
                        let (flag_file, name_file) = (folder.join("flag.svg"), folder.join("name.txt"));
                        let flag = tokio::spawn(async move { std::fs::write(flag_file, flag) });
                        let name = tokio::spawn(async move { std::fs::write(name_file, name) });
                        flag.await??;
                        name.await?
                    }"#,
                ),
                (
                    "只写好了 1 个",
                    r#"async fn save_both(folder: PathBuf, flag: Vec<u8>, name: String) -> io::Result<()> {
                        tokio::fs::write(folder.join("flag.svg"), flag).await?;
                        tokio::fs::metadata(folder.join("name.txt")).await.map_or(Ok(()), |_| Err(io::ErrorKind::IsADirectory.into()))
                    }"#,
                ),
            ],
        ),
        (
            "check-8",
            &[
                ("走得太早", UNCHANGED),
                (
                    "走得太早",
                    "async fn with_bar(client: &Client, site: &str, folder: &Path, codes: &[Code], bar: &notebook::indicatif::ProgressBar) -> Vec<Found> {
                        let codes = stream::iter(codes.to_vec());
                        let downloads = codes.map(|code| {
                            bar.inc(1);
                            download(client, site, folder, code)
                        });
                        downloads.buffer_unordered(4).collect().await
                    }",
                ),
                (
                    "没有得到的也走一格",
                    "async fn with_bar(client: &Client, site: &str, folder: &Path, codes: &[Code], bar: &notebook::indicatif::ProgressBar) -> Vec<Found> {
                        stream::iter(codes.to_vec())
                            .map(|code| download(client, site, folder, code))
                            .buffer_unordered(4)
                            .inspect(|(_, path)| bar.inc(path.is_some().into()))
                            .collect()
                            .await
                    }",
                ),
                (
                    "走得太晚",
                    "async fn with_bar(client: &Client, site: &str, folder: &Path, codes: &[Code], bar: &notebook::indicatif::ProgressBar) -> Vec<Found> {
                        let found: Vec<_> = stream::iter(codes.to_vec())
                            .map(|code| download(client, site, folder, code))
                            .buffer_unordered(4)
                            .collect()
                            .await;
                        bar.inc(found.len() as u64);
                        found
                    }",
                ),
                (
                    "走得太晚",
                    "async fn with_bar(client: &Client, site: &str, folder: &Path, codes: &[Code], bar: &notebook::indicatif::ProgressBar) -> Vec<Found> {
                        stream::iter(codes.to_vec())
                            .map(|code| download(client, site, folder, code))
                            .buffer_unordered(4)
                            .chunks(5)
                            .inspect(|found| bar.inc(found.len() as u64))
                            .map(stream::iter)
                            .flatten()
                            .collect()
                            .await
                    }",
                ),
                (
                    "同时最多收到 1 个请求",
                    "async fn with_bar(client: &Client, site: &str, folder: &Path, codes: &[Code], bar: &notebook::indicatif::ProgressBar) -> Vec<Found> {
                        let mut found = Vec::new();
                        for &code in codes {
                            found.push(download(client, site, folder, code).await);
                            bar.inc(1);
                        }
                        found
                    }",
                ),
                (
                    "同时最多收到 10 个请求",
                    "async fn with_bar(client: &Client, site: &str, folder: &Path, codes: &[Code], bar: &notebook::indicatif::ProgressBar) -> Vec<Found> {
                        let mut all: FuturesUnordered<_> = (codes.iter())
                            .map(|&code| download(client, site, folder, code))
                            .collect();
                        let mut found = Vec::new();
                        while let Some(one) = all.next().await {
                            found.push(one);
                            bar.inc(1);
                        }
                        found
                    }",
                ),
                (
                    "返回了 8 个",
                    "async fn with_bar(client: &Client, site: &str, folder: &Path, codes: &[Code], bar: &notebook::indicatif::ProgressBar) -> Vec<Found> {
                        stream::iter(codes.to_vec())
                            .map(|code| download(client, site, folder, code))
                            .buffer_unordered(4)
                            .inspect(|_| bar.inc(1))
                            .filter(|(_, path)| futures::future::ready(path.is_some()))
                            .collect()
                            .await
                    }",
                ),
                (
                    "服务器收到 0 个",
                    "async fn with_bar(client: &Client, site: &str, folder: &Path, codes: &[Code], bar: &notebook::indicatif::ProgressBar) -> Vec<Found> {
                        stream::iter(codes.to_vec()).map(|code| (code, None)).collect().await
                    }",
                ),
            ],
        ),
        (
            "check-9",
            &[
                ("面就该停", UNCHANGED),
                (
                    "出错的、未找到的不算",
                    "async fn enough(codes: &[Code], options: &Options, count: usize) -> Result<Report, flags::Error> {
                        let mut downloads = Downloads::start(codes, options)?;
                        for _ in 0..count {
                            downloads.next().await;
                        }
                        Ok(downloads.report())
                    }",
                ),
                (
                    "22 个代码里只问了",
                    "async fn enough(codes: &[Code], options: &Options, count: usize) -> Result<Report, flags::Error> {
                        flags::download_many(&codes[..count.min(codes.len())], options).await
                    }",
                ),
                (
                    "其余的还在后台下载",
                    "async fn enough(codes: &[Code], options: &Options, count: usize) -> Result<Report, flags::Error> {
                        let mut downloads = Downloads::start(codes, options)?;
                        while downloads.report().ok() < count && downloads.next().await.is_some() {}
                        let report = downloads.report();
                        tokio::spawn(async move { while downloads.next().await.is_some() {} });
                        Ok(report)
                    }",
                ),
                (
                    "得到了 7 面",
                    "async fn enough(codes: &[Code], options: &Options, _count: usize) -> Result<Report, flags::Error> {
                        let mut downloads = Downloads::start(codes, options)?;
                        while downloads.report().ok() < 7 && downloads.next().await.is_some() {}
                        Ok(downloads.report())
                    }",
                ),
                (
                    "代码用完了，还在等下一面",
                    "async fn enough(codes: &[Code], options: &Options, count: usize) -> Result<Report, flags::Error> {
                        let mut downloads = Downloads::start(codes, options)?;
                        while downloads.report().ok() < count {
                            downloads.next().await;
                        }
                        Ok(downloads.report())
                    }",
                ),
                (
                    "面就该停",
                    "async fn enough(codes: &[Code], options: &Options, count: usize) -> Result<Report, flags::Error> {
                        let mut downloads = Downloads::start(codes, options)?;
                        while downloads.report().ok() <= count && downloads.next().await.is_some() {}
                        Ok(downloads.report())
                    }",
                ),
            ],
        ),
        (
            "check-10",
            &[
                ("同时最多收到 1 个请求，应为 2 个", UNCHANGED),
                (
                    "国名应为 Japan",
                    "async fn both(client: &Client, site: &str, code: Code) -> Fetched<(Vec<u8>, String)> {
                        let (picture, name) = tokio::join!(
                            fetch_flag(client, site, code),
                            fetch_name(client, site, code),
                        );
                        name?;
                        Ok((picture?, code.to_string()))
                    }",
                ),
                (
                    "给出的不是日本的国旗",
                    "async fn both(client: &Client, site: &str, code: Code) -> Fetched<(Vec<u8>, String)> {
                        let (name, _) = tokio::try_join!(
                            fetch_name(client, site, code),
                            fetch_name(client, site, code),
                        )?;
                        Ok((Vec::new(), name))
                    }",
                ),
                (
                    "XX 应该是 NotFound",
                    "async fn both(client: &Client, site: &str, code: Code) -> Fetched<(Vec<u8>, String)> {
                        let (picture, name) = tokio::join!(
                            fetch_flag(client, site, code),
                            fetch_name(client, site, code),
                        );
                        Ok((picture.unwrap_or_default(), name.unwrap_or_default()))
                    }",
                ),
            ],
        ),
    ],
};

const AVOID_BLOCKING: Exercises = Exercises {
    notebook: "04",
    before: &[
        "deps",
        "frames",
        "spin",
        "report",
        "beside-spinner",
        "read-blocking",
        "suspects",
        "spawn-blocking",
        "cancel-not",
        "stop",
        "steps-until-cancelled",
        "cancel-flag",
        "turns",
        "peak",
        "pool-512",
        "pool-limit",
        "semaphore",
        "multi-thread",
        "block-in-place",
        "book",
        "fs",
        "tiny",
        "fs-threads",
        "flush",
        "is-prime",
        "primes",
        "in-parallel",
        "rayon",
        "rayon-oneshot",
        "clock",
        "yield-now",
        "post",
    ],
    checks: &[
        (
            "check-1",
            &[
                ("先猜，写进 STOPS", UNCHANGED),
                (
                    "relay 的 .await 等的是 doze",
                    r#"const STOPS: &[&str] = &["doze", "crunch"];"#,
                ),
                (
                    "wait 在 .await 处让出了线程",
                    r#"const STOPS: &[&str] = &["wait", "doze", "relay", "crunch"];"#,
                ),
                (
                    "doze 里没有 .await",
                    r#"const STOPS: &[&str] = &["crunch"];"#,
                ),
                (
                    "计算也是阻塞",
                    r#"const STOPS: &[&str] = &["doze", "relay"];"#,
                ),
                (
                    "没有叫 dose 的",
                    r#"const STOPS: &[&str] = &["dose", "relay", "crunch"];"#,
                ),
            ],
        ),
        (
            "check-2",
            &[
                ("count_slowly 占着任务的线程", UNCHANGED),
                (
                    "等的不是它",
                    "async fn count_words(text: String) -> usize {
                        sleep(Duration::from_millis(300)).await;
                        6
                    }",
                ),
                (
                    "等的不是它",
                    "async fn count_words(text: String) -> usize {
                        text.split_whitespace().count()
                    }",
                ),
                (
                    "应有 6 个单词，得到 2",
                    "async fn count_words(text: String) -> usize { 2 }",
                ),
                (
                    "换了任务，没有换线程",
                    "async fn count_words(text: String) -> usize {
                        tokio::spawn(async move { count_slowly(&text) }).await.unwrap()
                    }",
                ),
                (
                    "换了线程，等它的时候却占着任务的线程",
                    "async fn count_words(text: String) -> usize {
                        tokio::task::yield_now().await;
                        thread::spawn(move || count_slowly(&text)).join().unwrap()
                    }",
                ),
                (
                    "换了线程，等它的时候却占着任务的线程",
                    "async fn count_words(text: String) -> usize {
                        thread::spawn(move || count_slowly(&text)).join().unwrap()
                    }",
                ),
            ],
        ),
        (
            "check-3",
            &[
                ("许可要跟着闭包走", UNCHANGED),
                (
                    "12 张里做完了 3 张",
                    "async fn resize_all(peak: Peak) {
                        let mut tasks = JoinSet::new();
                        for peak in std::iter::repeat_n(peak, 3) {
                            tasks.spawn_blocking(move || resize(&peak));
                        }
                        tasks.join_all().await;
                    }",
                ),
                (
                    "返回的时候，",
                    "async fn resize_all(peak: Peak) {
                        let limit = Arc::new(Semaphore::new(3));
                        for _ in 0..12 {
                            let (peak, limit) = (peak.clone(), limit.clone());
                            tokio::spawn(async move {
                                let permit = limit.acquire_owned().await.unwrap();
                                spawn_blocking(move || {
                                    resize(&peak);
                                    drop(permit);
                                });
                            });
                        }
                    }",
                ),
                (
                    "变成一张接一张了",
                    "async fn resize_all(peak: Peak) {
                        for peak in std::iter::repeat_n(peak, 12) {
                            spawn_blocking(move || resize(&peak)).await.unwrap();
                        }
                    }",
                ),
                (
                    "只有 2 个",
                    "async fn resize_all(peak: Peak) {
                        let (limit, mut tasks) = (Arc::new(Semaphore::new(2)), JoinSet::new());
                        for peak in std::iter::repeat_n(peak, 12) {
                            let permit = limit.clone().acquire_owned().await.unwrap();
                            tasks.spawn_blocking(move || {
                                resize(&peak);
                                drop(permit);
                            });
                        }
                        tasks.join_all().await;
                    }",
                ),
                (
                    "许可要跟着闭包走",
                    "async fn resize_all(peak: Peak) {
                        let (limit, mut tasks) = (Semaphore::new(3), JoinSet::new());
                        for peak in std::iter::repeat_n(peak, 12) {
                            let _permit = limit.acquire().await.unwrap();
                            tasks.spawn_blocking(move || resize(&peak));
                        }
                        tasks.join_all().await;
                    }",
                ),
                (
                    "占着任务的线程",
                    r#"async fn resize_all(peak: Peak) {
                        thread::scope(|scope| {
                            for _ in 0..3 {
                                scope.spawn(|| (0..4).for_each(|_| resize(&peak)));
                            }
                        });
                    }"#,
                ),
            ],
        ),
        (
            "check-4",
            &[
                ("给号码的任务轮不到执行", UNCHANGED),
                (
                    "给号码的任务轮不到执行",
                    "async fn look_up(book: &mut Book, numbers: &mut Vec<u32>) {
                        tokio::task::yield_now().await;
                        numbers.push(book.wait());
                    }",
                ),
                (
                    "换了线程去问，等它的时候却占着任务的线程",
                    "async fn look_up(book: &mut Book, numbers: &mut Vec<u32>) {
                        thread::scope(|scope| {
                            scope.spawn(|| numbers.push(book.wait()));
                        });
                    }",
                ),
                (
                    "没有调用 book.wait()",
                    "async fn look_up(_book: &mut Book, numbers: &mut Vec<u32>) {
                        numbers.push(119);
                    }",
                ),
                (
                    "却没有记进 numbers",
                    "async fn look_up(book: &mut Book, numbers: &mut Vec<u32>) {
                        let mut copy = numbers.clone();
                        block_in_place(|| copy.push(book.wait()));
                    }",
                ),
                (
                    "应为 [1, 119]，得到 [119]",
                    "async fn look_up(book: &mut Book, numbers: &mut Vec<u32>) {
                        *numbers = vec![block_in_place(|| book.wait())];
                    }",
                ),
            ],
        ),
        (
            "check-5",
            &[
                ("只是交给了线程池", UNCHANGED),
                (
                    "只是交给了线程池",
                    "async fn append(path: PathBuf, line: &str) -> std::io::Result<()> {
                        let mut options = fs::OpenOptions::new();
                        let mut file = options.append(true).open(path).await?;
                        file.write_all(line.as_bytes()).await?;
                        sleep(Duration::from_millis(500)).await;
                        Ok(())
                    }",
                ),
                (
                    "阻塞了任务的线程",
                    "async fn append(path: PathBuf, line: &str) -> std::io::Result<()> {
                        use std::io::Write;
                        let mut options = std::fs::OpenOptions::new();
                        let mut file = options.append(true).open(path)?;
                        Write::write_all(&mut file, line.as_bytes())
                    }",
                ),
                (
                    "原来的一行没有了",
                    "async fn append(path: PathBuf, line: &str) -> std::io::Result<()> {
                        fs::write(path, line).await
                    }",
                ),
                (
                    "文件里还没有这一行",
                    "async fn append(_path: PathBuf, _line: &str) -> std::io::Result<()> {
                        Ok(())
                    }",
                ),
            ],
        ),
        (
            "check-6",
            &[
                ("在任务的线程上一个一个地算", UNCHANGED),
                (
                    "任务却占着线程等它",
                    "async fn squares(numbers: Vec<u64>) -> Vec<u64> {
                        numbers.into_par_iter().map(square).collect()
                    }",
                ),
                (
                    "任务却占着线程等它",
                    "async fn squares(numbers: Vec<u64>) -> Vec<u64> {
                        tokio::task::yield_now().await;
                        numbers.into_par_iter().map(square).collect()
                    }",
                ),
                (
                    "任务却占着线程等它",
                    "async fn squares(numbers: Vec<u64>) -> Vec<u64> {
                        let (sender, receiver) = std::sync::mpsc::channel();
                        rayon::spawn(move || {
                            let _ = sender.send(numbers.into_par_iter().map(square).collect());
                        });
                        receiver.recv().unwrap()
                    }",
                ),
                (
                    "rayon 没有用上",
                    "async fn squares(numbers: Vec<u64>) -> Vec<u64> {
                        let work = move || numbers.into_iter().map(square).collect();
                        spawn_blocking(work).await.unwrap()
                    }",
                ),
                (
                    "都在 rayon 的同一个线程上",
                    "async fn squares(numbers: Vec<u64>) -> Vec<u64> {
                        let (sender, receiver) = oneshot::channel();
                        rayon::spawn(move || {
                            let _ = sender.send(numbers.into_iter().map(square).collect());
                        });
                        receiver.await.unwrap()
                    }",
                ),
                (
                    "应算 20 个，算了 0 个",
                    "async fn squares(numbers: Vec<u64>) -> Vec<u64> {
                        numbers.into_iter().map(|n| n * n).collect()
                    }",
                ),
                (
                    "应按次序给出",
                    "async fn squares(numbers: Vec<u64>) -> Vec<u64> {
                        let results = Arc::new(Mutex::new(Vec::new()));
                        let to = results.clone();
                        let work = move || numbers.into_par_iter().rev().for_each(|n| {
                            let squared = square(n);
                            to.lock().unwrap().insert(0, squared + n / 20);
                        });
                        spawn_blocking(work).await.unwrap();
                        let results = results.lock().unwrap().clone();
                        results
                    }",
                ),
            ],
        ),
        (
            "check-7",
            &[
                ("等的时间也算进去了", UNCHANGED),
                (
                    "几次 poll 加在一起了",
                    "async fn slowest(work: impl Future<Output = ()>) -> u64 {
                        let (mut work, mut total) = (pin!(work), 0);
                        poll_fn(|cx| {
                            let start = now();
                            let poll = work.as_mut().poll(cx);
                            total += now() - start;
                            poll
                        })
                        .await;
                        total
                    }",
                ),
                (
                    "不是最后的",
                    "async fn slowest(work: impl Future<Output = ()>) -> u64 {
                        let (mut work, mut last) = (pin!(work), 0);
                        poll_fn(|cx| {
                            let start = now();
                            let poll = work.as_mut().poll(cx);
                            last = now() - start;
                            poll
                        })
                        .await;
                        last
                    }",
                ),
                (
                    "只记得第一次 poll",
                    "async fn slowest(work: impl Future<Output = ()>) -> u64 {
                        let mut work = pin!(work);
                        let start = now();
                        let first = poll_fn(|cx| {
                            let _ = work.as_mut().poll(cx);
                            std::task::Poll::Ready(now() - start)
                        })
                        .await;
                        work.await;
                        first
                    }",
                ),
                (
                    "slowest 还没有返回",
                    "async fn slowest(work: impl Future<Output = ()>) -> u64 {
                        work.await;
                        sleep(Duration::from_millis(1)).await;
                        now()
                    }",
                ),
            ],
        ),
        (
            "check-8",
            &[
                ("while let 开头的守卫，活到花括号结束", UNCHANGED),
                (
                    "等的时候锁还拿着",
                    "async fn drain(mailbox: &Mailbox, post: &Post) {
                        let mut letters = mailbox.lock().unwrap();
                        while let Some(letter) = letters.pop_front() {
                            post.send(letter).await;
                        }
                    }",
                ),
                (
                    "等的时候锁还拿着",
                    "async fn drain(mailbox: &Mailbox, post: &Post) {
                        loop {
                            if let Some(letter) = mailbox.lock().unwrap().pop_front() {
                                post.send(letter).await;
                            } else {
                                return;
                            }
                        }
                    }",
                ),
                (
                    "寄一封，才取一封",
                    "async fn drain(mailbox: &Mailbox, post: &Post) {
                        let letters = std::mem::take(&mut *mailbox.lock().unwrap());
                        for letter in letters {
                            post.send(letter).await;
                        }
                    }",
                ),
                (
                    "寄一封，才取一封",
                    "async fn drain(mailbox: &Mailbox, post: &Post) {
                        let letters = std::mem::take(&mut *mailbox.lock().unwrap());
                        let sending = letters.into_iter().map(|letter| post.send(letter));
                        futures::future::join_all(sending).await;
                    }",
                ),
                (
                    "寄出的是 [1]",
                    "async fn drain(mailbox: &Mailbox, post: &Post) {
                        let letter = mailbox.lock().unwrap().pop_front();
                        if let Some(letter) = letter {
                            post.send(letter).await;
                        }
                    }",
                ),
                (
                    "寄的时候占着线程",
                    "async fn drain(mailbox: &Mailbox, post: &Post) {
                        loop {
                            let letter = mailbox.lock().unwrap().pop_front();
                            let Some(letter) = letter else { return };
                            yield_now().await;
                            futures::executor::block_on(post.send(letter));
                        }
                    }",
                ),
                (
                    "寄的时候占着线程",
                    "async fn drain(mailbox: &Mailbox, post: &Post) {
                        loop {
                            let letter = mailbox.lock().unwrap().pop_front();
                            let Some(letter) = letter else { return };
                            let runtime = tokio::runtime::Runtime::new().unwrap();
                            runtime.block_on(post.send(letter));
                        }
                    }",
                ),
                (
                    "一封也没有寄",
                    "async fn drain(mailbox: &Mailbox, post: &Post) {
                        mailbox.lock().unwrap().clear();
                    }",
                ),
                (
                    "drain 还没有返回",
                    "async fn drain(mailbox: &Mailbox, post: &Post) {
                        loop {
                            let letter = mailbox.lock().unwrap().pop_front();
                            match letter {
                                Some(letter) => post.send(letter).await,
                                None => yield_now().await,
                            }
                        }
                    }",
                ),
                (
                    "不是开始时有几封",
                    r#"async fn drain(mailbox: &Mailbox, post: &Post) {
                        let count = mailbox.lock().unwrap().len();
                        for _ in 0..count {
                            let Some(letter) = mailbox.lock().unwrap().pop_front() else { return };
                            post.send(letter).await;
                        }
                    }"#,
                ),
                (
                    "返回的时候信箱里还有信",
                    r#"async fn drain(_mailbox: &Mailbox, post: &Post) {
                        for letter in [1, 2, 4, 5] {
                            post.send(letter).await;
                        }
                    }"#,
                ),
            ],
        ),
        (
            "check-9",
            &[
                ("一次也没有让出", UNCHANGED),
                (
                    "让出 20 次，有一段却连着读了 200000 个字节",
                    "async fn checksum(data: impl Iterator<Item = u8>) -> u32 {
                        let sum = data.fold(0, |sum: u32, byte| sum.rotate_left(1) ^ u32::from(byte));
                        for _ in 0..20 {
                            yield_now().await;
                        }
                        sum
                    }",
                ),
                (
                    "一次也没有让出",
                    "async fn checksum(data: impl Iterator<Item = u8>) -> u32 {
                        let mut sum: u32 = 0;
                        for (n, byte) in data.enumerate() {
                            if n % 10_000 == 0 {
                                let _ = yield_now();
                            }
                            sum = sum.rotate_left(1) ^ u32::from(byte);
                        }
                        sum
                    }",
                ),
                (
                    "一次也没有让出",
                    "async fn checksum(data: impl Iterator<Item = u8>) -> u32 {
                        let mut sum: u32 = 0;
                        for (n, byte) in data.enumerate() {
                            if n % 10_000 == 0 {
                                thread::sleep(Duration::from_millis(1));
                            }
                            sum = sum.rotate_left(1) ^ u32::from(byte);
                        }
                        sum
                    }",
                ),
                (
                    "让出 4 次，有一段却连着读了 50000 个字节",
                    "async fn checksum(data: impl Iterator<Item = u8>) -> u32 {
                        let mut sum: u32 = 0;
                        for (n, byte) in data.enumerate() {
                            if n % 50_000 == 0 {
                                yield_now().await;
                            }
                            sum = sum.rotate_left(1) ^ u32::from(byte);
                        }
                        sum
                    }",
                ),
                (
                    "连着读了 200000 个字节",
                    "async fn checksum(data: impl Iterator<Item = u8>) -> u32 {
                        let (data, mut sum): (Vec<u8>, u32) = (data.collect(), 0);
                        for chunk in data.chunks(10_000) {
                            for &byte in chunk {
                                sum = sum.rotate_left(1) ^ u32::from(byte);
                            }
                            yield_now().await;
                        }
                        sum
                    }",
                ),
                (
                    "结果应为",
                    "async fn checksum(data: impl Iterator<Item = u8>) -> u32 {
                        yield_now().await;
                        data.step_by(20).fold(0, |sum: u32, byte| sum.rotate_left(1) ^ u32::from(byte))
                    }",
                ),
            ],
        ),
    ],
};

const WEB_SERVER: Exercises = Exercises {
    notebook: "05",
    before: &[
        "deps",
        "half",
        "tutorial",
        "serve",
        "get",
        "page",
        "unescaped",
        "escape",
        "crowd-items",
        "crowd",
        "greet",
        "guest",
        "ask",
        "oneshot",
        "paging",
        "extract",
        "extract-json",
        "responses",
        "notes",
        "state",
        "log",
        "guard",
        "count",
        "visits",
        "session-items",
        "background-items",
        "background",
        "graceful",
        "words",
        "build-index",
        "build",
        "find",
        "answer",
        "tcp",
        "drip",
        "computing",
        "compute",
    ],
    checks: &[
        (
            "check-1",
            &[
                ("个没有人接待", UNCHANGED),
                (
                    "个没有人接待",
                    "async fn reception(listener: TcpListener) {
                        while let Ok((guest, _)) = listener.accept().await {
                            let _ = tokio::spawn(greet(guest)).await;
                        }
                    }",
                ),
                (
                    "不是每个连接一个任务",
                    "async fn reception(listener: TcpListener) {
                        let mut open = FuturesUnordered::new();
                        loop {
                            tokio::select! {
                                Ok((guest, _)) = listener.accept() => open.push(greet(guest)),
                                Some(_) = open.next() => {}
                            }
                        }
                    }",
                ),
                (
                    "是线程，不是任务",
                    "async fn reception(listener: TcpListener) {
                        while let Ok((guest, _)) = listener.accept().await {
                            let runtime = tokio::runtime::Handle::current();
                            std::thread::spawn(move || runtime.block_on(greet(guest)));
                        }
                    }",
                ),
                (
                    "接受连接的循环结束了",
                    "async fn reception(listener: TcpListener) {
                        let mut tasks = tokio::task::JoinSet::new();
                        for _ in 0..12 {
                            tasks.spawn(greet(listener.accept().await.unwrap().0));
                        }
                        tasks.join_all().await;
                    }",
                ),
                (
                    "没有人叫 greet 去接待",
                    r#"async fn reception(listener: TcpListener) {
                        while let Ok((mut guest, _)) = listener.accept().await {
                            tokio::spawn(async move { guest.write_all(b"hello").await });
                        }
                    }"#,
                ),
            ],
        ),
        (
            "check-2",
            &[
                ("多了一个属性", UNCHANGED),
                (
                    "应转义，不是去掉",
                    r#"async fn card(Path(name): Path<String>) -> Html<String> {
                        let name = encode_text(&name).replace('"', "");
                        Html(format!("<p title=\"{name}\">{name}</p>"))
                    }"#,
                ),
                (
                    "多了一个标签",
                    r#"async fn card(Path(name): Path<String>) -> Html<String> {
                        let title = html_escape::encode_double_quoted_attribute(&name);
                        Html(format!("<p title=\"{title}\">{name}</p>"))
                    }"#,
                ),
                (
                    "属性里的转义了两遍",
                    r#"async fn card(Path(name): Path<String>) -> Html<String> {
                        let text = encode_text(&name);
                        let title = html_escape::encode_double_quoted_attribute(&text);
                        Html(format!("<p title=\"{title}\">{text}</p>"))
                    }"#,
                ),
                (
                    "尖括号不见了",
                    r#"async fn card(Path(name): Path<String>) -> Html<String> {
                        let name = name.replace(['<', '>'], "").replace('"', "&quot;");
                        Html(format!("<p title=\"{name}\">{name}</p>"))
                    }"#,
                ),
                (
                    "两处的 & 都要转义一遍",
                    r#"async fn card(Path(name): Path<String>) -> Html<String> {
                        let name = name.replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;");
                        Html(format!("<p title=\"{name}\">{name}</p>"))
                    }"#,
                ),
                (
                    "名字是 Ada",
                    r#"async fn card(Path(name): Path<String>) -> Html<String> {
                        Html(format!("<p>{}</p>", encode_text(&name)))
                    }"#,
                ),
            ],
        ),
        (
            "check-3",
            &[
                ("/time 数了 0 次；/nowhere 数了 0 次", UNCHANGED),
                (
                    "还没有通过：/nowhere 数了 0 次",
                    r#"fn counted(counter: Count) -> Router {
                        Router::new()
                            .route("/ping", get(async || "pong"))
                            .route("/time", get(async || "现在"))
                            .layer(from_fn_with_state(counter, count))
                            .fallback(async || StatusCode::NOT_FOUND)
                    }"#,
                ),
                (
                    "/ping 数了 2 次",
                    r#"fn counted(counter: Count) -> Router {
                        Router::new()
                            .route("/ping", get(async || "pong"))
                            .layer(from_fn_with_state(counter.clone(), count))
                            .route("/time", get(async || "现在"))
                            .fallback(async || StatusCode::NOT_FOUND)
                            .layer(from_fn_with_state(counter, count))
                    }"#,
                ),
            ],
        ),
        (
            "check-4",
            &[
                ("带着发过的编号再来，还是第 1 次", UNCHANGED),
                (
                    "两个浏览器是同一个编号",
                    r#"async fn visits_of(sessions: State<Sessions>, _: HeaderMap) -> impl IntoResponse {
                        let mut sessions = sessions.lock().unwrap();
                        let count = sessions.entry("sid".to_owned()).or_default();
                        *count += 1;
                        ([(SET_COOKIE, "sid=sid".to_owned())], format!("第 {count} 次来"))
                    }"#,
                ),
                (
                    "次数要留在服务器",
                    r#"async fn visits_of(_: State<Sessions>, headers: HeaderMap) -> impl IntoResponse {
                        let n: u32 = session_id(&headers).and_then(|id| id.parse().ok()).unwrap_or(0) + 1;
                        ([(SET_COOKIE, format!("sid={n}; HttpOnly"))], format!("第 {n} 次来"))
                    }"#,
                ),
                (
                    "编号太短",
                    r#"async fn visits_of(sessions: State<Sessions>, headers: HeaderMap) -> impl IntoResponse {
                        let mut sessions = sessions.lock().unwrap();
                        let known = session_id(&headers).filter(|id| sessions.contains_key(id));
                        let id = known.unwrap_or_else(|| sessions.len().to_string());
                        let count = sessions.entry(id.clone()).or_default();
                        *count += 1;
                        ([(SET_COOKIE, format!("sid={id}"))], format!("第 {count} 次来"))
                    }"#,
                ),
                (
                    "自己编的编号也认了",
                    r#"async fn visits_of(sessions: State<Sessions>, headers: HeaderMap) -> impl IntoResponse {
                        let id = session_id(&headers).unwrap_or_else(new_id);
                        let mut sessions = sessions.lock().unwrap();
                        let count = sessions.entry(id.clone()).or_default();
                        *count += 1;
                        ([(SET_COOKIE, format!("sid={id}"))], format!("第 {count} 次来"))
                    }"#,
                ),
                (
                    "应数 1、2、1、3、2",
                    r#"async fn visits_of(sessions: State<Sessions>, headers: HeaderMap) -> impl IntoResponse {
                        let id = session_id(&headers).unwrap_or_else(new_id);
                        let mut sessions = sessions.lock().unwrap();
                        *sessions.entry(id.clone()).or_default() += 1;
                        let count: u32 = sessions.values().sum();
                        ([(SET_COOKIE, format!("sid={id}"))], format!("第 {count} 次来"))
                    }"#,
                ),
                (
                    "带着发过的编号再来，还是第 1 次",
                    r#"async fn visits_of(_: State<Sessions>, _: HeaderMap) -> impl IntoResponse {
                        ([(SET_COOKIE, format!("sid={}", new_id()))], "第 1 次来")
                    }"#,
                ),
            ],
        ),
        (
            "check-5",
            &[
                ("不停的服务器，过了时限还在等", UNCHANGED),
                (
                    "丢弃句柄不是取消",
                    "async fn stop_within(stop: oneshot::Sender<()>, server: JoinHandle<io::Result<()>>, limit: Duration) -> bool {
                        let _ = stop.send(());
                        tokio::time::timeout(limit, server).await.is_ok()
                    }",
                ),
                (
                    "没有等它停下就取消了",
                    "async fn stop_within(stop: oneshot::Sender<()>, server: JoinHandle<io::Result<()>>, _limit: Duration) -> bool {
                        let _ = stop.send(());
                        server.abort();
                        server.await.is_ok()
                    }",
                ),
                (
                    "也等满了时限",
                    "async fn stop_within(stop: oneshot::Sender<()>, server: JoinHandle<io::Result<()>>, limit: Duration) -> bool {
                        let _ = stop.send(());
                        sleep(limit).await;
                        server.abort();
                        server.await.is_ok()
                    }",
                ),
                (
                    "应等满时限就取消",
                    "async fn stop_within(stop: oneshot::Sender<()>, mut server: JoinHandle<io::Result<()>>, _limit: Duration) -> bool {
                        let _ = stop.send(());
                        let in_time = tokio::time::timeout(Duration::from_millis(300), &mut server).await.is_ok();
                        server.abort();
                        in_time
                    }",
                ),
                (
                    "应等满时限就取消",
                    "async fn stop_within(stop: oneshot::Sender<()>, mut server: JoinHandle<io::Result<()>>, _limit: Duration) -> bool {
                        drop(stop);
                        let in_time = tokio::time::timeout(HALF, &mut server).await.is_ok();
                        server.abort();
                        in_time
                    }",
                ),
                (
                    "没有听到停下",
                    "async fn stop_within(stop: oneshot::Sender<()>, mut server: JoinHandle<io::Result<()>>, limit: Duration) -> bool {
                        let in_time = tokio::time::timeout(limit, &mut server).await.is_ok();
                        server.abort();
                        drop(stop);
                        in_time
                    }",
                ),
                (
                    "能停的应返回 true，不停的应返回 false",
                    "async fn stop_within(stop: oneshot::Sender<()>, mut server: JoinHandle<io::Result<()>>, limit: Duration) -> bool {
                        let _ = stop.send(());
                        let _ = tokio::time::timeout(limit, &mut server).await;
                        server.abort();
                        true
                    }",
                ),
            ],
        ),
        (
            "check-6",
            &[
                ("它在等下一个问题", UNCHANGED),
                (
                    "只收到一部分",
                    r#"async fn look_up(finder: &mut BufReader<TcpStream>, query: &str) -> io::Result<String> {
                        finder.write_all(format!("{query}\r\n").as_bytes()).await?;
                        let mut text = String::new();
                        finder.read_line(&mut text).await?;
                        Ok(text)
                    }"#,
                ),
                (
                    "只收到一部分",
                    r#"async fn look_up(finder: &mut BufReader<TcpStream>, query: &str) -> io::Result<String> {
                        finder.write_all(format!("{query}\r\n").as_bytes()).await?;
                        let mut buffer = vec![0; 3]; // 不管先到了多少，都是提示的一半
                        let length = finder.read(&mut buffer).await?;
                        Ok(String::from_utf8_lossy(&buffer[..length]).into_owned())
                    }"#,
                ),
                (
                    "多收了",
                    r#"async fn look_up(finder: &mut BufReader<TcpStream>, query: &str) -> io::Result<String> {
                        finder.write_all(format!("{query}\r\n").as_bytes()).await?;
                        finder.shutdown().await?;
                        let mut text = String::new();
                        finder.read_to_string(&mut text).await?;
                        Ok(text)
                    }"#,
                ),
                (
                    "第二句没有得到答复",
                    r#"async fn look_up(finder: &mut BufReader<TcpStream>, query: &str) -> io::Result<String> {
                        finder.write_all(format!("{query}\r\n").as_bytes()).await?;
                        finder.shutdown().await?;
                        let mut text = String::new();
                        while !text.ends_with(" found\r\n") {
                            if finder.read_line(&mut text).await? == 0 {
                                return Err(io::ErrorKind::UnexpectedEof.into());
                            }
                        }
                        Ok(text)
                    }"#,
                ),
                (
                    "连接断了，还在读",
                    r#"async fn look_up(finder: &mut BufReader<TcpStream>, query: &str) -> io::Result<String> {
                        finder.write_all(format!("{query}\r\n").as_bytes()).await?;
                        let mut text = String::new();
                        while !text.ends_with(" found\r\n") {
                            finder.read_line(&mut text).await?;
                        }
                        Ok(text)
                    }"#,
                ),
                (
                    "没有收完连接就断了，应返回错误",
                    r#"async fn look_up(finder: &mut BufReader<TcpStream>, query: &str) -> io::Result<String> {
                        finder.write_all(format!("{query}\r\n").as_bytes()).await?;
                        let mut text = String::new();
                        while !text.ends_with(" found\r\n") && finder.read_line(&mut text).await? > 0 {}
                        Ok(text)
                    }"#,
                ),
                (
                    "占着线程",
                    r#"async fn look_up(finder: &mut BufReader<TcpStream>, query: &str) -> io::Result<String> {
                        finder.write_all(format!("{query}\r\n").as_bytes()).await?;
                        let runtime = tokio::runtime::Handle::current();
                        let mut text = String::new();
                        while !text.ends_with(" found\r\n") {
                            runtime.block_on(finder.read_line(&mut text))?;
                        }
                        Ok(text)
                    }"#,
                ),
            ],
        ),
        (
            "check-7",
            &[
                ("panic 了", UNCHANGED),
                (
                    "同时算着 4 份",
                    r#"fn office() -> Router {
                        Router::new().route("/report/{n}", get(async |Path(n): Path<u32>| compute(n).await))
                    }"#,
                ),
                (
                    "同时算着 4 份",
                    r#"use tokio::sync::Semaphore;

                    async fn report(State(seats): State<Arc<Semaphore>>, Path(n): Path<u32>) -> Result<String, StatusCode> {
                        let _ = seats.try_acquire().map_err(|_| StatusCode::SERVICE_UNAVAILABLE)?;
                        Ok(compute(n).await)
                    }

                    fn office() -> Router {
                        let seats = Arc::new(Semaphore::new(3));
                        Router::new().route("/report/{n}", get(report)).with_state(seats)
                    }"#,
                ),
                (
                    "第 1 个有位子",
                    r#"async fn report(Path(n): Path<u32>) -> Result<String, StatusCode> {
                        if COMPUTING.load(Ordering::SeqCst) >= 3 {
                            return Err(StatusCode::SERVICE_UNAVAILABLE);
                        }
                        Ok(compute(n).await)
                    }

                    fn office() -> Router {
                        Router::new().route("/report/{n}", get(report))
                    }"#,
                ),
                (
                    "第 4 个在排队，应马上得到 503",
                    r#"use tokio::sync::Semaphore;

                    async fn report(State(seats): State<Arc<Semaphore>>, Path(n): Path<u32>) -> Result<String, StatusCode> {
                        let _seat = seats.acquire().await.map_err(|_| StatusCode::SERVICE_UNAVAILABLE)?;
                        Ok(compute(n).await)
                    }

                    fn office() -> Router {
                        let seats = Arc::new(Semaphore::new(3));
                        Router::new().route("/report/{n}", get(report)).with_state(seats)
                    }"#,
                ),
                (
                    "第 4 个应得到 503，得到 429",
                    r#"use tokio::sync::Semaphore;

                    async fn report(State(seats): State<Arc<Semaphore>>, Path(n): Path<u32>) -> Result<String, StatusCode> {
                        let _seat = seats.try_acquire().map_err(|_| StatusCode::TOO_MANY_REQUESTS)?;
                        Ok(compute(n).await)
                    }

                    fn office() -> Router {
                        let seats = Arc::new(Semaphore::new(3));
                        Router::new().route("/report/{n}", get(report)).with_state(seats)
                    }"#,
                ),
                (
                    "第 1 个断开了，它的位子没有空出来",
                    r#"async fn report(State(busy): State<Arc<AtomicU32>>, Path(n): Path<u32>) -> Result<String, StatusCode> {
                        if busy.fetch_add(1, Ordering::SeqCst) >= 3 {
                            busy.fetch_sub(1, Ordering::SeqCst);
                            return Err(StatusCode::SERVICE_UNAVAILABLE);
                        }
                        let report = compute(n).await;
                        busy.fetch_sub(1, Ordering::SeqCst);
                        Ok(report)
                    }

                    fn office() -> Router {
                        Router::new().route("/report/{n}", get(report)).with_state(Arc::default())
                    }"#,
                ),
                (
                    "第 1 个断开以后还在算，同时算着 4 份",
                    r#"use tokio::sync::Semaphore;

                    async fn report(State(seats): State<Arc<Semaphore>>, Path(n): Path<u32>) -> Result<String, StatusCode> {
                        let _seat = seats.try_acquire().map_err(|_| StatusCode::SERVICE_UNAVAILABLE)?;
                        Ok(tokio::spawn(compute(n)).await.unwrap())
                    }

                    fn office() -> Router {
                        let seats = Arc::new(Semaphore::new(3));
                        Router::new().route("/report/{n}", get(report)).with_state(seats)
                    }"#,
                ),
                (
                    "却马上得到了 200 第 1 份报告",
                    r#"fn office() -> Router {
                        Router::new().route("/report/{n}", get(async |Path(n): Path<u32>| format!("第 {n} 份报告")))
                    }"#,
                ),
            ],
        ),
    ],
};

const MANY_THINGS: Exercises = Exercises {
    notebook: "06",
    before: &[
        "deps",
        "database",
        "pool",
        "create",
        "insert",
        "count",
        "find",
        "injection",
        "stamps",
        "send",
        "rollback",
        "rollback-cancel",
        "rows",
        "ask",
        "busy",
        "redis-client",
        "redis",
        "get-set",
        "tree",
        "label",
        "bar",
        "draw",
        "get",
        "instrument",
        "new-id",
        "tags",
        "record",
        "layer",
        "collector-items",
        "collector",
        "start-tracing",
        "show-trace",
        "spawn-span",
    ],
    checks: &[
        (
            "check-1",
            &[
                ("\"?\" 不是它：RabbitMQ 是消息队列", UNCHANGED),
                (
                    "\"zeromq\" 不是它",
                    r#"const CRATES: [&str; 4] = ["zeromq", "moka", "mpsc", "tokio-console"];"#,
                ),
                (
                    "进程里的缓存不经过网络",
                    r#"const CRATES: [&str; 4] = ["lapin", "redis", "mpsc", "tokio-console"];"#,
                ),
                (
                    "tokio 里就有",
                    r#"const CRATES: [&str; 4] = ["lapin", "moka", "lapin", "tokio-console"];"#,
                ),
                (
                    "要看的是 tokio 的任务",
                    r#"const CRATES: [&str; 4] = ["lapin", "moka", "tokio::sync::mpsc", "tracing"];"#,
                ),
            ],
        ),
        (
            "check-2",
            &[
                ("还是给出了 20 行", UNCHANGED),
                (
                    "还是给出了 1 行",
                    "async fn stamps_of(db: &AnyPool, chinese: &str) -> sqlx::Result<Vec<i64>> {
                        Ok(vec![110])
                    }",
                ),
                (
                    "真的有国家叫这个名字",
                    r#"async fn stamps_of(db: &AnyPool, chinese: &str) -> sqlx::Result<Vec<i64>> {
                        if chinese.contains('\'') {
                            return Ok(vec![]);
                        }
                        let sql = format!("SELECT stamps FROM notebook_countries WHERE chinese = '{chinese}'");
                        sqlx::query_scalar(sqlx::AssertSqlSafe(sql)).fetch_all(db).await
                    }"#,
                ),
                (
                    "拼出来的 SQL 断在那里",
                    r#"async fn stamps_of(db: &AnyPool, chinese: &str) -> sqlx::Result<Vec<i64>> {
                        let chinese = chinese.replace('\'', "''");
                        let sql = format!("SELECT stamps FROM notebook_countries WHERE chinese = '{chinese}'");
                        sqlx::query_scalar(sqlx::AssertSqlSafe(sql)).fetch_all(db).await
                    }"#,
                ),
                (
                    "印度应有 110 张",
                    r#"async fn stamps_of(db: &AnyPool, chinese: &str) -> sqlx::Result<Vec<i64>> {
                        sqlx::query_scalar("SELECT stamps FROM notebook_countries WHERE code = ?")
                            .bind(chinese)
                            .fetch_all(db)
                            .await
                    }"#,
                ),
            ],
        ),
        (
            "check-3",
            &[
                ("甲一起来了 20 次，应放行 3 次", UNCHANGED),
                (
                    "应放行 3 次，放行了 20 次",
                    r#"async fn allowed(mut cache: MultiplexedConnection, who: &str) -> RedisResult<bool> {
                        Ok(true)
                    }"#,
                ),
                (
                    "应放行 3 次，放行了 0 次",
                    r#"async fn allowed(mut cache: MultiplexedConnection, who: &str) -> RedisResult<bool> {
                        Ok(false)
                    }"#,
                ),
                (
                    "放行了 2 次",
                    r#"async fn allowed(mut cache: MultiplexedConnection, who: &str) -> RedisResult<bool> {
                        let mut pipe = redis::pipe();
                        pipe.atomic();
                        let key = format!("notebook:limit:{who}");
                        pipe.cmd("SET").arg(&key).arg(0).arg("EX").arg(60).arg("NX").ignore();
                        pipe.incr(&key, 1);
                        let (count,): (u32,) = pipe.query_async(&mut cache).await?;
                        Ok(count < 3)
                    }"#,
                ),
                (
                    "每个人各有一个键",
                    r#"async fn allowed(mut cache: MultiplexedConnection, who: &str) -> RedisResult<bool> {
                        let mut pipe = redis::pipe();
                        pipe.cmd("SET").arg("notebook:limit:甲").arg(0).arg("EX").arg(60).arg("NX").ignore();
                        pipe.incr("notebook:limit:甲", 1);
                        let (count,): (u32,) = pipe.query_async(&mut cache).await?;
                        Ok(count <= 3)
                    }"#,
                ),
                (
                    "数要放在 Redis 里",
                    r#"async fn allowed(mut cache: MultiplexedConnection, who: &str) -> RedisResult<bool> {
                        static SEEN: std::sync::Mutex<Vec<String>> = std::sync::Mutex::new(Vec::new());
                        let mut seen = SEEN.lock().unwrap();
                        seen.push(who.to_string());
                        Ok(seen.iter().filter(|name| *name == who).count() <= 3)
                    }"#,
                ),
                (
                    "甲的键永远不过期",
                    r#"async fn allowed(mut cache: MultiplexedConnection, who: &str) -> RedisResult<bool> {
                        let key = format!("notebook:limit:{who}");
                        Ok(cache.incr(&key, 1).await? <= 3)
                    }"#,
                ),
                (
                    "60 秒就从头算起",
                    r#"async fn allowed(mut cache: MultiplexedConnection, who: &str) -> RedisResult<bool> {
                        let key = format!("notebook:limit:{who}");
                        let (count,): (u32,) = redis::pipe()
                            .atomic()
                            .incr(&key, 1)
                            .expire(&key, 60)
                            .ignore()
                            .query_async(&mut cache)
                            .await?;
                        Ok(count <= 3)
                    }"#,
                ),
                (
                    "在两条命令之间取消",
                    r#"async fn allowed(mut cache: MultiplexedConnection, who: &str) -> RedisResult<bool> {
                        let key = format!("notebook:limit:{who}");
                        let count = cache.incr(&key, 1).await?;
                        if count == 1 {
                            cache.expire(&key, 60).await?;
                        }
                        Ok(count <= 3)
                    }"#,
                ),
            ],
        ),
        (
            "check-4",
            &[
                ("有 2 步不是", UNCHANGED),
                (
                    "两步在同一个任务里",
                    r#"#[instrument]
                    async fn visit() {
                        tokio::join!(chore("读"), chore("写"));
                    }"#,
                ),
                (
                    "有 1 步不是",
                    r#"#[instrument]
                    async fn visit() {
                        let reading = tokio::spawn(chore("读").in_current_span());
                        let writing = tokio::spawn(chore("写"));
                        let _ = tokio::join!(reading, writing);
                    }"#,
                ),
                (
                    "有 2 步不是",
                    r#"#[instrument]
                    async fn visit() {
                        let reading = tokio::spawn(chore("读")).in_current_span();
                        let writing = tokio::spawn(chore("写")).in_current_span();
                        let _ = tokio::join!(reading, writing);
                    }"#,
                ),
                (
                    "做完一步才开始另一步",
                    r#"#[instrument]
                    async fn visit() {
                        let _ = tokio::spawn(chore("读").in_current_span()).await;
                        let _ = tokio::spawn(chore("写").in_current_span()).await;
                    }"#,
                ),
                (
                    "做完了 1 步",
                    r#"#[instrument]
                    async fn visit() {
                        let _ = tokio::spawn(chore("读").in_current_span()).await;
                    }"#,
                ),
                (
                    "visit 应是一个 span",
                    r#"async fn visit() {
                        let reading = tokio::spawn(chore("读").in_current_span());
                        let writing = tokio::spawn(chore("写").in_current_span());
                        let _ = tokio::join!(reading, writing);
                    }"#,
                ),
            ],
        ),
        (
            "check-5",
            &[
                ("buy panic 了", UNCHANGED),
                (
                    "25 张卖给了",
                    r#"async fn buy(db: &AnyPool, code: &str, count: i64) -> sqlx::Result<bool> {
                        let is_enough = stamps(db, code).await? >= count;
                        if is_enough {
                            let sql = "UPDATE notebook_countries SET stamps = stamps - ? WHERE code = ?";
                            sqlx::query(sql).bind(count).bind(code).execute(db).await?;
                        }
                        Ok(is_enough)
                    }"#,
                ),
                (
                    "25 张卖给了 20 个人，还剩 -175 张",
                    r#"async fn buy(db: &AnyPool, code: &str, count: i64) -> sqlx::Result<bool> {
                        let sql = "UPDATE notebook_countries SET stamps = stamps - ? WHERE code = ?";
                        let done = sqlx::query(sql).bind(count).bind(code).execute(db).await?;
                        Ok(done.rows_affected() == 1)
                    }"#,
                ),
                (
                    "应卖给 2 个人，剩 5 张；卖给了 20 个人，剩 5 张",
                    r#"async fn buy(db: &AnyPool, code: &str, count: i64) -> sqlx::Result<bool> {
                        let sql = "UPDATE notebook_countries SET stamps = stamps - ? WHERE code = ? AND stamps >= ?";
                        sqlx::query(sql).bind(count).bind(code).bind(count).execute(db).await?;
                        Ok(true)
                    }"#,
                ),
                (
                    "买 5 张，应一张不剩；剩 5 张",
                    r#"async fn buy(db: &AnyPool, code: &str, count: i64) -> sqlx::Result<bool> {
                        let sql = "UPDATE notebook_countries SET stamps = stamps - ? WHERE code = ? AND stamps > ?";
                        let query = sqlx::query(sql).bind(count).bind(code).bind(count);
                        Ok(query.execute(db).await?.rows_affected() == 1)
                    }"#,
                ),
                (
                    "别的程序也在卖，10 张卖完以后剩 -10 张",
                    r#"async fn buy(db: &AnyPool, code: &str, count: i64) -> sqlx::Result<bool> {
                        static ONE: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());
                        let _one = ONE.lock().await;
                        let left: Option<i64> = sqlx::query_scalar("SELECT stamps FROM notebook_countries WHERE code = ?")
                            .bind(code)
                            .fetch_optional(db)
                            .await?;
                        let is_enough = left.is_some_and(|left| left >= count);
                        if is_enough {
                            let sql = "UPDATE notebook_countries SET stamps = stamps - ? WHERE code = ?";
                            sqlx::query(sql).bind(count).bind(code).execute(db).await?;
                        }
                        Ok(is_enough)
                    }"#,
                ),
                (
                    "没有卖给我",
                    r#"async fn buy(db: &AnyPool, code: &str, count: i64) -> sqlx::Result<bool> {
                        static ONE: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());
                        let _one = ONE.lock().await;
                        let left: Option<i64> = sqlx::query_scalar("SELECT stamps FROM notebook_countries WHERE code = ?")
                            .bind(code)
                            .fetch_optional(db)
                            .await?;
                        let Some(left) = left.filter(|left| *left >= count) else { return Ok(false) };
                        let sql = "UPDATE notebook_countries SET stamps = ? WHERE code = ? AND stamps = ?";
                        let query = sqlx::query(sql).bind(left - count).bind(code).bind(left);
                        Ok(query.execute(db).await?.rows_affected() == 1)
                    }"#,
                ),
                (
                    "没有 XX 这个国家，也卖出了邮票",
                    r#"async fn buy(db: &AnyPool, _code: &str, count: i64) -> sqlx::Result<bool> {
                        let sql = "UPDATE notebook_countries SET stamps = stamps - ? WHERE code = 'JP' AND stamps >= ?";
                        let query = sqlx::query(sql).bind(count).bind(count);
                        Ok(query.execute(db).await?.rows_affected() == 1)
                    }"#,
                ),
                (
                    "卖给了 0 个人，剩 25 张",
                    r#"async fn buy(_db: &AnyPool, _code: &str, _count: i64) -> sqlx::Result<bool> {
                        Ok(false)
                    }"#,
                ),
            ],
        ),
    ],
};

const CHANNELS: Exercises = Exercises {
    notebook: "07",
    before: &[
        "deps",
        "backpressure",
        "device",
        "janus",
        "broadcast",
        "site",
        "probe",
        "multi-probe-items",
        "multi-probe",
        "book",
        "tracker",
        "token-clone",
        "work",
        "token",
    ],
    checks: &[
        (
            "check-1",
            &[
                ("得到 0 和 0", UNCHANGED),
                (
                    "柜台只听到 0 个问题",
                    "async fn ask(_desk: &mpsc::Sender<Question>, n: u32) -> u32 {
                        n + 100
                    }",
                ),
                (
                    "阻塞",
                    "async fn ask(desk: &mpsc::Sender<Question>, n: u32) -> u32 {
                        let (reply, answer) = oneshot::channel();
                        desk.send((n, reply)).await.unwrap();
                        answer.blocking_recv().unwrap()
                    }",
                ),
                (
                    "换一个柜台，应得到 10 和 11",
                    "async fn ask(desk: &mpsc::Sender<Question>, n: u32) -> u32 {
                        let (reply, _answer) = oneshot::channel();
                        desk.send((n, reply)).await.unwrap();
                        tokio::task::yield_now().await;
                        n + 100
                    }",
                ),
                (
                    "ask panic 了",
                    "async fn ask(desk: &mpsc::Sender<Question>, n: u32) -> u32 {
                        let (reply, mut answer) = oneshot::channel();
                        desk.send((n, reply)).await.unwrap();
                        answer.try_recv().unwrap()
                    }",
                ),
                (
                    "还在等：等的是谁的",
                    "async fn ask(desk: &mpsc::Sender<Question>, n: u32) -> u32 {
                        let (reply, _) = oneshot::channel();
                        let (_keep, answer) = oneshot::channel();
                        desk.send((n, reply)).await.unwrap();
                        answer.await.unwrap()
                    }",
                ),
            ],
        ),
        (
            "check-2",
            &[
                ("还有人发，就不听了，只听到 []", UNCHANGED),
                (
                    "一共 7 条：每一回几条",
                    "async fn listen(mut news: broadcast::Receiver<u32>) -> (Vec<u32>, u64) {
                        let (mut heard, mut lost) = (vec![], 0);
                        loop {
                            match news.recv().await {
                                Ok(n) => heard.push(n),
                                Err(RecvError::Lagged(_)) => lost += 1,
                                Err(RecvError::Closed) => return (heard, lost),
                            }
                        }
                    }",
                ),
                (
                    "漏掉 7 条；得到",
                    "async fn listen(mut news: broadcast::Receiver<u32>) -> (Vec<u32>, u64) {
                        let (mut heard, mut lost) = (vec![], 0);
                        loop {
                            match news.recv().await {
                                Ok(n) => heard.push(n),
                                Err(RecvError::Lagged(_)) => lost += 4,
                                Err(RecvError::Closed) => return (heard, lost),
                            }
                        }
                    }",
                ),
                (
                    "漏掉的没有数",
                    "async fn listen(mut news: broadcast::Receiver<u32>) -> (Vec<u32>, u64) {
                        let mut heard = vec![];
                        loop {
                            match news.recv().await {
                                Ok(n) => heard.push(n),
                                Err(RecvError::Lagged(_)) => {}
                                Err(RecvError::Closed) => return (heard, 0),
                            }
                        }
                    }",
                ),
                (
                    "Closed 才是完了",
                    "async fn listen(mut news: broadcast::Receiver<u32>) -> (Vec<u32>, u64) {
                        let (mut heard, mut lost) = (vec![], 0);
                        loop {
                            match news.recv().await {
                                Ok(n) => heard.push(n),
                                Err(RecvError::Lagged(n)) => lost += n,
                                Err(RecvError::Closed) => tokio::task::yield_now().await,
                            }
                            if lost == u64::MAX {
                                return (heard, lost);
                            }
                        }
                    }",
                ),
                (
                    "Closed 才是完了",
                    "async fn listen(mut news: broadcast::Receiver<u32>) -> (Vec<u32>, u64) {
                        let (mut heard, mut lost) = (vec![], 0);
                        loop {
                            match news.recv().await {
                                Ok(n) => heard.push(n),
                                Err(_) => lost += 1,
                            }
                        }
                    }",
                ),
                (
                    "还有人发，就不听了",
                    "async fn listen(_news: broadcast::Receiver<u32>) -> (Vec<u32>, u64) {
                        (vec![3, 4, 5, 6, 7, 8, 9, 15, 16, 17], 7)
                    }",
                ),
            ],
        ),
        (
            "check-3",
            &[
                ("只取了第 0 页", UNCHANGED),
                (
                    "空的一页不是最后一页",
                    "fn items(book: Book) -> impl Stream<Item = u32> {
                        async_stream::stream! {
                            let mut number = 0;
                            loop {
                                let page = book.page(number).await.unwrap_or_default();
                                if page.is_empty() {
                                    break;
                                }
                                for item in page {
                                    yield item;
                                }
                                number += 1;
                            }
                        }
                    }",
                ),
                (
                    "只要 3 条，应取 3 页，取了 5 页",
                    "fn items(book: Book) -> impl Stream<Item = u32> {
                        async_stream::stream! {
                            let (mut all, mut number) = (vec![], 0);
                            while let Some(page) = book.page(number).await {
                                all.extend(page);
                                number += 1;
                            }
                            for item in all {
                                yield item;
                            }
                        }
                    }",
                ),
                (
                    "页数不能猜",
                    "fn items(book: Book) -> impl Stream<Item = u32> {
                        async_stream::stream! {
                            for number in 0..5 {
                                for item in book.page(number).await.unwrap_or_default() {
                                    yield item;
                                }
                            }
                        }
                    }",
                ),
                (
                    "只要 3 条，却一直没有给够",
                    "fn items(book: Book) -> impl Stream<Item = u32> {
                        async_stream::stream! {
                            let mut number = 0;
                            while let Some(page) = book.page(number).await {
                                if page.is_empty() {
                                    continue;
                                }
                                for item in page {
                                    yield item;
                                }
                                number += 1;
                            }
                        }
                    }",
                ),
                (
                    "没有下一页了，还在取",
                    "fn items(book: Book) -> impl Stream<Item = u32> {
                        async_stream::stream! {
                            let mut number = 0;
                            loop {
                                for item in book.page(number).await.unwrap_or_default() {
                                    yield item;
                                }
                                number += 1;
                            }
                        }
                    }",
                ),
                (
                    "页数不能猜",
                    "fn items(_book: Book) -> impl Stream<Item = u32> {
                        futures::stream::iter(1..=5)
                    }",
                ),
            ],
        ),
        (
            "check-4",
            &[
                ("取消以后没有返回", UNCHANGED),
                (
                    "手上的一条半途而废",
                    r#"async fn drain(mut inbox: mpsc::Receiver<u32>, token: CancellationToken, timeline: Timeline) -> usize {
                        let mut done = 0;
                        while let Some(message) = inbox.recv().await {
                            let work = sleep(Duration::from_millis(100));
                            let work = timeline.track(format!("第 {message} 条"), work);
                            if token.run_until_cancelled(work).await.is_none() {
                                break;
                            }
                            done += 1;
                        }
                        done
                    }"#,
                ),
                (
                    "没有消息的时候取消，没有返回",
                    r#"async fn drain(mut inbox: mpsc::Receiver<u32>, token: CancellationToken, timeline: Timeline) -> usize {
                        let mut done = 0;
                        while !token.is_cancelled() {
                            let Some(message) = inbox.recv().await else {
                                break;
                            };
                            let work = sleep(Duration::from_millis(100));
                            timeline.track(format!("第 {message} 条"), work).await;
                            done += 1;
                        }
                        done
                    }"#,
                ),
                (
                    "取消以后又做了 2 条",
                    r#"async fn drain(mut inbox: mpsc::Receiver<u32>, token: CancellationToken, timeline: Timeline) -> usize {
                        let mut done = 0;
                        while let Some(Some(message)) = token.run_until_cancelled(inbox.recv()).await {
                            let work = sleep(Duration::from_millis(100));
                            timeline.track(format!("第 {message} 条"), work).await;
                            done += 1;
                        }
                        while let Ok(message) = inbox.try_recv() {
                            let work = sleep(Duration::from_millis(100));
                            timeline.track(format!("第 {message} 条"), work).await;
                            done += 1;
                        }
                        done
                    }"#,
                ),
                (
                    "取消以后又做了 ",
                    r#"async fn drain(mut inbox: mpsc::Receiver<u32>, token: CancellationToken, timeline: Timeline) -> usize {
                        let mut done = 0;
                        loop {
                            let message: u32 = tokio::select! {
                                () = token.cancelled() => return done,
                                Some(message) = inbox.recv() => message,
                                else => return done,
                            };
                            let work = sleep(Duration::from_millis(100));
                            timeline.track(format!("第 {message} 条"), work).await;
                            done += 1;
                        }
                    }"#,
                ),
                (
                    "做完 0 条，给出的却是 3",
                    r#"async fn drain(mut inbox: mpsc::Receiver<u32>, token: CancellationToken, timeline: Timeline) -> usize {
                        let mut done = 0;
                        while let Some(Some(message)) = token.run_until_cancelled(inbox.recv()).await {
                            let work = sleep(Duration::from_secs(1));
                            tokio::spawn(timeline.track(format!("第 {message} 条"), work));
                            done += 1;
                        }
                        done
                    }"#,
                ),
                (
                    "关闭通道，应做完 3 条就返回，得到 None",
                    r#"async fn drain(mut inbox: mpsc::Receiver<u32>, token: CancellationToken, timeline: Timeline) -> usize {
                        let mut done = 0;
                        loop {
                            let message: u32 = tokio::select! {
                                biased;
                                () = token.cancelled() => return done,
                                Some(message) = inbox.recv() => message,
                            };
                            let work = sleep(Duration::from_millis(100));
                            timeline.track(format!("第 {message} 条"), work).await;
                            done += 1;
                        }
                    }"#,
                ),
            ],
        ),
        (
            "check-5",
            &[
                ("没有返回，或者 panic 了", UNCHANGED),
                (
                    "应只存 3 和 5，存了 5 次",
                    "async fn autosave(mut edits: mpsc::Receiver<u32>, saved: mpsc::Sender<u32>) {
                        while let Some(edit) = edits.recv().await {
                            saved.send(edit).await.unwrap();
                        }
                    }",
                ),
                (
                    "最后的改动 5 没有存",
                    "async fn autosave(mut edits: mpsc::Receiver<u32>, saved: mpsc::Sender<u32>) {
                        while let Some(mut latest) = edits.recv().await {
                            loop {
                                match timeout(QUIET, edits.recv()).await {
                                    Ok(Some(newer)) => latest = newer,
                                    Ok(None) => return,
                                    Err(_) => break,
                                }
                            }
                            saved.send(latest).await.unwrap();
                        }
                    }",
                ),
                (
                    "应马上存 5，第 350 毫秒才存",
                    "async fn autosave(mut edits: mpsc::Receiver<u32>, saved: mpsc::Sender<u32>) {
                        while let Some(mut latest) = edits.recv().await {
                            loop {
                                match timeout(QUIET, edits.recv()).await {
                                    Ok(Some(newer)) => latest = newer,
                                    Ok(None) => {
                                        sleep(QUIET).await;
                                        break;
                                    }
                                    Err(_) => break,
                                }
                            }
                            saved.send(latest).await.unwrap();
                        }
                    }",
                ),
                (
                    "应只存 3 和 5，存了 ",
                    "async fn autosave(mut edits: mpsc::Receiver<u32>, saved: mpsc::Sender<u32>) {
                        let mut latest = 0;
                        loop {
                            match timeout(QUIET, edits.recv()).await {
                                Ok(Some(edit)) => latest = edit,
                                Ok(None) => {
                                    saved.send(latest).await.unwrap();
                                    return;
                                }
                                Err(_) => saved.send(latest).await.unwrap(),
                            }
                        }
                    }",
                ),
                (
                    "存过了，关闭通道时不再存",
                    "async fn autosave(mut edits: mpsc::Receiver<u32>, saved: mpsc::Sender<u32>) {
                        let (mut latest, mut is_saved) = (0, true);
                        loop {
                            match timeout(QUIET, edits.recv()).await {
                                Ok(Some(edit)) => (latest, is_saved) = (edit, false),
                                Ok(None) => {
                                    saved.send(latest).await.unwrap();
                                    return;
                                }
                                Err(_) if is_saved => {}
                                Err(_) => {
                                    saved.send(latest).await.unwrap();
                                    is_saved = true;
                                }
                            }
                        }
                    }",
                ),
                (
                    "50 毫秒从最后一次改动算起",
                    "async fn autosave(mut edits: mpsc::Receiver<u32>, saved: mpsc::Sender<u32>) {
                        while let Some(mut latest) = edits.recv().await {
                            sleep(3 * QUIET).await;
                            while let Ok(newer) = edits.try_recv() {
                                latest = newer;
                            }
                            saved.send(latest).await.unwrap();
                        }
                    }",
                ),
                (
                    "应只存 3 和 5，存了 3 次",
                    "async fn autosave(mut edits: mpsc::Receiver<u32>, saved: mpsc::Sender<u32>) {
                        while let Some(mut latest) = edits.recv().await {
                            sleep(QUIET).await;
                            while let Ok(newer) = edits.try_recv() {
                                latest = newer;
                            }
                            saved.send(latest).await.unwrap();
                        }
                    }",
                ),
                (
                    "没有返回，或者 panic 了",
                    "async fn autosave(mut edits: mpsc::Receiver<u32>, saved: mpsc::Sender<u32>) {
                        let mut latest = None;
                        loop {
                            match timeout(QUIET, edits.recv()).await {
                                Ok(Some(edit)) => latest = Some(edit),
                                _ => {
                                    if let Some(edit) = latest.take() {
                                        saved.send(edit).await.unwrap();
                                    }
                                    sleep(QUIET).await;
                                }
                            }
                        }
                    }",
                ),
            ],
        ),
    ],
};

const CANCELLATION: Exercises = Exercises {
    notebook: "08",
    before: &[
        "deps",
        "transfer",
        "cancel-after",
        "sentence",
        "script",
        "listen",
        "listen-run",
        "by-hand",
        "desk",
        "cache",
        "lock-span",
        "alive",
        "leak",
        "joinset-drop",
        "joinset-drop-run",
        "task-group",
        "trial-5",
        "per-step",
        "one-deadline",
        "stop",
        "worker",
        "site",
        "most-and-late",
        "fault",
    ],
    checks: &[
        (
            "check-1",
            &[
                ("取消以后，座位没有退还", UNCHANGED),
                (
                    "付款的时候，座位没有占着",
                    "async fn reserve(seats: Seats) {
                        pay().await;
                        seats.fetch_sub(1, Ordering::SeqCst);
                    }",
                ),
                (
                    "付完了，座位也退了",
                    "struct Hold(Seats);
                    impl Drop for Hold {
                        fn drop(&mut self) {
                            self.0.fetch_add(1, Ordering::SeqCst);
                        }
                    }
                    async fn reserve(seats: Seats) {
                        seats.fetch_sub(1, Ordering::SeqCst);
                        let _hold = Hold(seats);
                        pay().await;
                    }",
                ),
                (
                    "pay 没有等完就返回了",
                    "async fn reserve(seats: Seats) {
                        seats.fetch_sub(1, Ordering::SeqCst);
                        let _ = pay();
                    }",
                ),
            ],
        ),
        (
            "check-2",
            &[
                ("[1, 2, 3, 4, 5, 6, 7] 跟着被丢弃的 next 丢了", UNCHANGED),
                (
                    "有的数给了不止一次",
                    "struct Batches { inbox: Receiver<u32>, batch: Vec<u32> }
                    impl Batches {
                        async fn next(&mut self) -> Vec<u32> {
                            while self.batch.len() < 3 {
                                let Some(number) = self.inbox.recv().await else {
                                    break;
                                };
                                self.batch.push(number);
                            }
                            self.batch.clone()
                        }
                    }",
                ),
                (
                    "剩下的 7 没有给出来",
                    "struct Batches { inbox: Receiver<u32>, batch: Vec<u32> }
                    impl Batches {
                        async fn next(&mut self) -> Vec<u32> {
                            while self.batch.len() < 3 {
                                let Some(number) = self.inbox.recv().await else {
                                    return Vec::new();
                                };
                                self.batch.push(number);
                            }
                            std::mem::take(&mut self.batch)
                        }
                    }",
                ),
                (
                    "应三个一批",
                    "struct Batches { inbox: Receiver<u32>, batch: Vec<u32> }
                    impl Batches {
                        async fn next(&mut self) -> Vec<u32> {
                            let mut batch = Vec::new();
                            self.inbox.recv_many(&mut batch, 3).await;
                            batch
                        }
                    }",
                ),
            ],
        ),
        (
            "check-3",
            &[
                ("锁归了甲，却没有人轮询甲", UNCHANGED),
                (
                    "甲没有做完：它被丢弃了",
                    r#"async fn hurry(desk: &Desk) {
                        select! {
                            () = desk.job("甲") => {}
                            () = yield_now() => desk.job("乙").await,
                        }
                    }"#,
                ),
                (
                    "乙等到甲做完才去排队",
                    r#"async fn hurry(desk: &Desk) {
                        desk.job("甲").await;
                        desk.job("乙").await;
                    }"#,
                ),
                (
                    "乙没有做完",
                    r#"async fn hurry(desk: &Desk) {
                        desk.job("甲").await;
                    }"#,
                ),
                (
                    "甲排了不止一次队",
                    r#"async fn hurry(desk: &Desk) {
                        select! {
                            () = desk.job("甲") => {}
                            () = yield_now() => {
                                join!(desk.job("甲"), desk.job("乙"));
                            }
                        }
                    }"#,
                ),
                (
                    "锁空着的时候，没有“乙做完”",
                    r#"async fn hurry(desk: &Desk) {
                        let mut first = pin!(desk.job("甲"));
                        select! {
                            () = &mut first => {}
                            () = yield_now() => {
                                join!(first, desk.job("乙"));
                            }
                        }
                    }"#,
                ),
            ],
        ),
        (
            "check-4",
            &[
                ("取消以后是第 1 版，却有 0 条", UNCHANGED),
                (
                    "等 fetch 的时候还拿着锁",
                    "async fn refresh(cache: &AsyncMutex<Cache>) {
                        let mut cache = cache.lock().await;
                        let item = fetch().await;
                        cache.version += 1;
                        cache.items.push(item);
                    }",
                ),
                (
                    "没有等 fetch",
                    r#"async fn refresh(cache: &AsyncMutex<Cache>) {
                        let mut cache = cache.lock().await;
                        cache.version += 1;
                        cache.items.push("新的一条");
                    }"#,
                ),
                (
                    "在两次拿锁之间取消，是第 1 版，却有 0 条",
                    "async fn refresh(cache: &AsyncMutex<Cache>) {
                        let item = fetch().await;
                        cache.lock().await.version += 1;
                        cache.lock().await.items.push(item);
                    }",
                ),
                (
                    "做完以后应是第 1 版、1 条，得到第 0 版、1 条",
                    "async fn refresh(cache: &AsyncMutex<Cache>) {
                        let item = fetch().await;
                        cache.lock().await.items.push(item);
                    }",
                ),
            ],
        ),
        (
            "check-5",
            &[
                ("第 3 个先出错了，还等到 3 个都做完才返回", UNCHANGED),
                (
                    "三个 job 在同一个任务里",
                    "async fn all_or_nothing(jobs: Vec<Job>) -> Result<Vec<u32>, String> {
                        futures::future::try_join_all(jobs).await
                    }",
                ),
                (
                    "结果应按 jobs 的次序，得到 ",
                    "async fn all_or_nothing(jobs: Vec<Job>) -> Result<Vec<u32>, String> {
                        task_group(jobs.into_iter().collect()).await
                    }",
                ),
                (
                    "返回的时候还有 2 个任务",
                    "async fn all_or_nothing(jobs: Vec<Job>) -> Result<Vec<u32>, String> {
                        let mut tasks: JoinSet<Outcome> = jobs.into_iter().collect();
                        let mut results = Vec::new();
                        while let Some(joined) = tasks.join_next().await {
                            results.push(joined.unwrap()?);
                        }
                        results.sort();
                        Ok(results)
                    }",
                ),
                (
                    "应当返回它的错误",
                    "async fn all_or_nothing(jobs: Vec<Job>) -> Result<Vec<u32>, String> {
                        let tasks: JoinSet<Outcome> = jobs.into_iter().collect();
                        let mut results: Vec<u32> = tasks.join_all().await.into_iter().flatten().collect();
                        results.sort();
                        Ok(results)
                    }",
                ),
                (
                    "返回的不是那个错误",
                    r#"async fn all_or_nothing(jobs: Vec<Job>) -> Result<Vec<u32>, String> {
                        let mut tasks = JoinSet::new();
                        for (n, job) in jobs.into_iter().enumerate() {
                            tasks.spawn(async move { (n, job.await) });
                        }
                        let mut results = vec![0; 3];
                        while let Some(done) = tasks.join_next().await {
                            match done.unwrap() {
                                (n, Ok(result)) => results[n] = result,
                                (_, Err(_)) => {
                                    tasks.shutdown().await;
                                    return Err("出错".to_owned());
                                }
                            }
                        }
                        Ok(results)
                    }"#,
                ),
            ],
        ),
        (
            "check-6",
            &[
                ("三题都不答，过了时限还在等", UNCHANGED),
                (
                    "到时以前已经得到的答案丢了",
                    "async fn ask_all(ask: impl AsyncFn(u32) -> u32, limit: Duration) -> Vec<u32> {
                        let all = async { vec![ask(1).await, ask(2).await, ask(3).await] };
                        timeout(limit, all).await.unwrap_or_default()
                    }",
                ),
                (
                    "第 2 题只要 0.35 秒，没有过时，答案却没有了",
                    "async fn ask_all(ask: impl AsyncFn(u32) -> u32, limit: Duration) -> Vec<u32> {
                        let mut answers = Vec::new();
                        for n in 1..=3 {
                            if let Ok(answer) = timeout(limit / 3, ask(n)).await {
                                answers.push(answer);
                            }
                        }
                        answers
                    }",
                ),
                (
                    "前两题答了以后，过了时限还在等第三题",
                    "async fn ask_all(ask: impl AsyncFn(u32) -> u32, limit: Duration) -> Vec<u32> {
                        let mut answers = Vec::new();
                        for n in 1..=3 {
                            let Ok(answer) = timeout(limit, ask(n)).await else { break };
                            answers.push(answer);
                        }
                        answers
                    }",
                ),
                (
                    "一题答完才问下一题",
                    r#"async fn ask_all(ask: impl AsyncFn(u32) -> u32, limit: Duration) -> Vec<u32> {
                        let end = tokio::time::Instant::now() + limit;
                        let (a, b, c) = tokio::join!(
                            tokio::time::timeout_at(end, ask(1)),
                            tokio::time::timeout_at(end, ask(2)),
                            tokio::time::timeout_at(end, ask(3)),
                        );
                        [a, b, c].into_iter().flatten().collect()
                    }"#,
                ),
                (
                    "时限是 0.3 秒，等的时间不对",
                    r#"async fn ask_all(ask: impl AsyncFn(u32) -> u32, _limit: Duration) -> Vec<u32> {
                        let mut answers = Vec::new();
                        let asking = async {
                            for n in 1..=3 {
                                answers.push(ask(n).await);
                            }
                        };
                        let _ = timeout(Duration::from_millis(400), asking).await;
                        answers
                    }"#,
                ),
            ],
        ),
        (
            "check-7",
            &[
                ("一页也没有取", UNCHANGED),
                (
                    "一页接着一页，没有同时取",
                    "async fn crawl(site: Arc<Site>, stop: watch::Receiver<bool>) -> BTreeSet<u32> {
                        let (mut seen, mut done) = (BTreeSet::from([1]), BTreeSet::new());
                        let mut queue = VecDeque::from([1]);
                        while !*stop.borrow() {
                            let Some(page) = queue.pop_front() else { break };
                            let links = site.links(page).await;
                            done.insert(page);
                            queue.extend(links.into_iter().filter(|link| seen.insert(*link)));
                        }
                        done
                    }",
                ),
                (
                    "有的页取了不止一次",
                    "async fn crawl(site: Arc<Site>, stop: watch::Receiver<bool>) -> BTreeSet<u32> {
                        let (mut queue, mut done) = (VecDeque::from([1]), BTreeSet::new());
                        while !*stop.borrow() && done.len() < 30 {
                            let Some(page) = queue.pop_front() else { break };
                            queue.extend(site.links(page).await);
                            done.insert(page);
                        }
                        done
                    }",
                ),
                (
                    "同时取了 ",
                    "async fn crawl(site: Arc<Site>, stop: watch::Receiver<bool>) -> BTreeSet<u32> {
                        let (mut seen, mut done) = (BTreeSet::from([1]), BTreeSet::new());
                        let (mut queue, mut tasks) = (VecDeque::from([1]), JoinSet::new());
                        loop {
                            while let Some(page) = queue.pop_front() {
                                if !*stop.borrow() {
                                    let site = site.clone();
                                    tasks.spawn(async move { (page, site.links(page).await) });
                                }
                            }
                            let Some(joined) = tasks.join_next().await else { return done };
                            let (page, links) = joined.unwrap();
                            done.insert(page);
                            queue.extend(links.into_iter().filter(|link| seen.insert(*link)));
                        }
                    }",
                ),
                (
                    "喊停以后又开始了 ",
                    "async fn crawl(site: Arc<Site>, _stop: watch::Receiver<bool>) -> BTreeSet<u32> {
                        let (mut seen, mut done) = (BTreeSet::from([1]), BTreeSet::new());
                        let (mut queue, mut tasks) = (VecDeque::from([1]), JoinSet::new());
                        loop {
                            while tasks.len() < 3 {
                                let Some(page) = queue.pop_front() else { break };
                                let site = site.clone();
                                tasks.spawn(async move { (page, site.links(page).await) });
                            }
                            let Some(joined) = tasks.join_next().await else { return done };
                            let (page, links) = joined.unwrap();
                            done.insert(page);
                            queue.extend(links.into_iter().filter(|link| seen.insert(*link)));
                        }
                    }",
                ),
                (
                    "一开始就是停，还是去取了",
                    "async fn crawl(site: Arc<Site>, stop: watch::Receiver<bool>) -> BTreeSet<u32> {
                        let (mut seen, mut done) = (BTreeSet::from([1]), BTreeSet::new());
                        let (mut queue, mut tasks) = (VecDeque::from([1]), JoinSet::new());
                        loop {
                            while tasks.len() < 3 {
                                let Some(page) = queue.pop_front() else { break };
                                let site = site.clone();
                                tasks.spawn(async move { (page, site.links(page).await) });
                            }
                            let Some(joined) = tasks.join_next().await else { return done };
                            let (page, links) = joined.unwrap();
                            done.insert(page);
                            queue.extend(links.into_iter().filter(|link| seen.insert(*link)));
                            if *stop.borrow() {
                                queue.clear();
                            }
                        }
                    }",
                ),
                (
                    "页只取了一半",
                    "async fn crawl(site: Arc<Site>, stop: watch::Receiver<bool>) -> BTreeSet<u32> {
                        let (mut seen, mut done) = (BTreeSet::from([1]), BTreeSet::new());
                        let (mut queue, mut tasks) = (VecDeque::from([1]), JoinSet::new());
                        while !*stop.borrow() {
                            while tasks.len() < 3 {
                                let Some(page) = queue.pop_front() else { break };
                                let site = site.clone();
                                tasks.spawn(async move { (page, site.links(page).await) });
                            }
                            let Some(joined) = tasks.join_next().await else { return done };
                            let (page, links) = joined.unwrap();
                            done.insert(page);
                            queue.extend(links.into_iter().filter(|link| seen.insert(*link)));
                        }
                        done
                    }",
                ),
                (
                    "返回的页与取完的页不同",
                    "async fn crawl(site: Arc<Site>, stop: watch::Receiver<bool>) -> BTreeSet<u32> {
                        let mut seen = BTreeSet::from([1]);
                        let (mut queue, mut tasks) = (VecDeque::from([1]), JoinSet::new());
                        loop {
                            while tasks.len() < 3 && !*stop.borrow() {
                                let Some(page) = queue.pop_front() else { break };
                                let site = site.clone();
                                tasks.spawn(async move { site.links(page).await });
                            }
                            let Some(joined) = tasks.join_next().await else { return seen };
                            queue.extend(joined.unwrap().into_iter().filter(|link| seen.insert(*link)));
                        }
                    }",
                ),
                (
                    "一开始就是停：5 秒以后还没有返回",
                    "async fn crawl(site: Arc<Site>, stop: watch::Receiver<bool>) -> BTreeSet<u32> {
                        while *stop.borrow() {
                            sleep(Duration::from_millis(10)).await;
                        }
                        let (mut seen, mut queue) = (BTreeSet::from([1]), VecDeque::from([1]));
                        let (mut done, mut tasks) = (BTreeSet::new(), JoinSet::new());
                        loop {
                            while tasks.len() < 3 && !*stop.borrow() {
                                let Some(page) = queue.pop_front() else { break };
                                let site = site.clone();
                                tasks.spawn(async move { (page, site.links(page).await) });
                            }
                            let Some(joined) = tasks.join_next().await else { return done };
                            let (page, links) = joined.unwrap();
                            done.insert(page);
                            queue.extend(links.into_iter().filter(|link| seen.insert(*link)));
                        }
                    }",
                ),
                (
                    "一开始就是停：返回的页与取完的页不同",
                    "async fn crawl(site: Arc<Site>, stop: watch::Receiver<bool>) -> BTreeSet<u32> {
                        let (mut seen, mut queue) = (BTreeSet::from([1]), VecDeque::from([1]));
                        let (mut done, mut tasks) = (BTreeSet::from([1]), JoinSet::new());
                        loop {
                            while tasks.len() < 3 && !*stop.borrow() {
                                let Some(page) = queue.pop_front() else { break };
                                let site = site.clone();
                                tasks.spawn(async move { (page, site.links(page).await) });
                            }
                            let Some(joined) = tasks.join_next().await else { return done };
                            let (page, links) = joined.unwrap();
                            done.insert(page);
                            queue.extend(links.into_iter().filter(|link| seen.insert(*link)));
                        }
                    }",
                ),
                (
                    "占着线程转圈",
                    "async fn crawl(site: Arc<Site>, stop: watch::Receiver<bool>) -> BTreeSet<u32> {
                        let mut tasks: JoinSet<u32> = JoinSet::new();
                        let start = Instant::now(); // no thread spins for ever in this test
                        while !*stop.borrow() && start.elapsed() < Duration::from_secs(25) {
                            let _ = tasks.join_next().await;
                        }
                        drop(site);
                        BTreeSet::new()
                    }",
                ),
            ],
        ),
    ],
};

const TESTING: Exercises = Exercises {
    notebook: "09",
    before: &[
        "deps",
        "paused",
        "leaps",
        "outside",
        "buy",
        "not-found",
        "source",
        "judge",
        "step",
        "task-spawn",
        "door",
        "serve",
        "script",
        "logged",
        "instrument",
        "log",
        "numbers",
        "times",
        "expect",
    ],
    checks: &[
        (
            "check-1",
            &[
                ("却在第 [0, 1, 2, 3] 秒", UNCHANGED),
                (
                    "却在第 [0, 0, 1, 3] 秒",
                    "async fn retry(ask: impl AsyncFn() -> Answer) -> Answer {
                        for seconds in [0, 1, 2] {
                            let answer = ask().await;
                            if answer.is_ok() {
                                return answer;
                            }
                            sleep(Duration::from_secs(seconds)).await;
                        }
                        ask().await
                    }",
                ),
                (
                    "一次也没有问",
                    "async fn retry(_ask: impl AsyncFn() -> Answer) -> Answer { Ok(42) }",
                ),
                (
                    "tokio 的时钟没有走",
                    "async fn retry(ask: impl AsyncFn() -> Answer) -> Answer {
                        for _ in 0..3 {
                            let answer = ask().await;
                            if answer.is_ok() {
                                return answer;
                            }
                            thread::sleep(Duration::from_millis(1));
                        }
                        ask().await
                    }",
                ),
                (
                    "tokio 的时钟没有走",
                    "async fn retry(ask: impl AsyncFn() -> Answer) -> Answer {
                        for seconds in [1, 2, 4] {
                            let answer = ask().await;
                            if answer.is_ok() {
                                return answer;
                            }
                            let _ = sleep(Duration::from_secs(seconds));
                        }
                        ask().await
                    }",
                ),
                (
                    "第 4 次失败以后还等了 8 秒",
                    r#"async fn retry(ask: impl AsyncFn() -> Answer) -> Answer {
                        for seconds in [1, 2, 4, 8] {
                            let answer = ask().await;
                            if answer.is_ok() {
                                return answer;
                            }
                            sleep(Duration::from_secs(seconds)).await;
                        }
                        Err("没有答复")
                    }"#,
                ),
                (
                    "一共却问了 4 次",
                    "async fn retry(ask: impl AsyncFn() -> Answer) -> Answer {
                        for seconds in [1, 2, 4] {
                            let _ = ask().await;
                            sleep(Duration::from_secs(seconds)).await;
                        }
                        ask().await
                    }",
                ),
                (
                    "最多问 4 次，却问了 7 次",
                    "async fn retry(ask: impl AsyncFn() -> Answer) -> Answer {
                        let mut seconds = 1;
                        loop {
                            let answer = ask().await;
                            if answer.is_ok() {
                                return answer;
                            }
                            sleep(Duration::from_secs(seconds)).await;
                            seconds *= 2;
                        }
                    }",
                ),
                (
                    "应给出最后一次的结果",
                    "async fn retry(ask: impl AsyncFn() -> Answer) -> Answer {
                        for seconds in [1, 2, 4] {
                            if ask().await.is_ok() {
                                return Ok(0);
                            }
                            sleep(Duration::from_secs(seconds)).await;
                        }
                        ask().await
                    }",
                ),
                (
                    "得到答案以后还等了 4 秒",
                    r#"async fn retry(ask: impl AsyncFn() -> Answer) -> Answer {
                        for seconds in [1, 2, 4] {
                            let answer = ask().await;
                            sleep(Duration::from_secs(seconds)).await;
                            if answer.is_ok() {
                                return answer;
                            }
                        }
                        ask().await
                    }"#,
                ),
            ],
        ),
        (
            "check-2",
            &[
                ("load 做了 ", UNCHANGED),
                (
                    "load 一次也没有做",
                    "async fn get(_cache: &Cache, _source: &Source) -> u32 { 7 }",
                ),
                (
                    "load 做了 4 次",
                    "async fn get(cache: &Cache, source: &Source) -> u32 {
                        let _one_by_one = cache.value.lock().await;
                        load(source).await
                    }",
                ),
                (
                    "四次都应得到 7",
                    "async fn get(cache: &Cache, source: &Source) -> u32 {
                        let Ok(mut value) = cache.value.try_lock() else {
                            return 0;
                        };
                        if value.is_none() {
                            *value = Some(load(source).await);
                        }
                        value.unwrap()
                    }",
                ),
                (
                    "还没有结束",
                    "async fn get(cache: &Cache, source: &Source) -> u32 {
                        loop {
                            let Ok(mut value) = cache.value.try_lock() else {
                                yield_now().await;
                                continue;
                            };
                            if value.is_none() {
                                *value = Some(load(source).await);
                            }
                            return value.unwrap();
                        }
                    }",
                ),
            ],
        ),
        (
            "check-3",
            &[
                ("返回 Pending 以前要登记唤醒者", UNCHANGED),
                (
                    "会一直空转",
                    "async fn wait(door: Arc<Mutex<Door>>) {
                        poll_fn(|cx| match door.lock().unwrap().is_open {
                            true => Poll::Ready(()),
                            false => {
                                cx.waker().wake_by_ref();
                                Poll::Pending
                            }
                        })
                        .await
                    }",
                ),
                (
                    "唤醒的还是原来那个",
                    "async fn wait(door: Arc<Mutex<Door>>) {
                        poll_fn(|cx| {
                            let mut door = door.lock().unwrap();
                            if door.is_open {
                                return Poll::Ready(());
                            }
                            door.waker.get_or_insert_with(|| cx.waker().clone());
                            Poll::Pending
                        })
                        .await
                    }",
                ),
                (
                    "门没有开就完成了",
                    "async fn wait(door: Arc<Mutex<Door>>) {
                        poll_fn(|cx| {
                            door.lock().unwrap().waker = Some(cx.waker().clone());
                            Poll::Ready(())
                        })
                        .await
                    }",
                ),
                (
                    "门开了，还在等",
                    "async fn wait(door: Arc<Mutex<Door>>) {
                        poll_fn(|cx| {
                            door.lock().unwrap().waker = Some(cx.waker().clone());
                            Poll::Pending
                        })
                        .await
                    }",
                ),
            ],
        ),
        (
            "check-4",
            &[
                ("一行分两次来，没有答对", UNCHANGED),
                (
                    "多读到的要留给下一行",
                    "async fn serve_lines(mut stream: impl AsyncRead + AsyncWrite + Unpin) -> io::Result<()> {
                        loop {
                            let mut line = String::new();
                            if BufReader::new(&mut stream).read_line(&mut line).await? == 0 {
                                return Ok(());
                            }
                            stream.write_all(line.to_uppercase().as_bytes()).await?;
                        }
                    }",
                ),
                (
                    "一个字分两次来，没有答对",
                    r#"async fn serve_lines(mut stream: impl AsyncRead + AsyncWrite + Unpin) -> io::Result<()> {
                        let (mut text, mut buffer) = (String::new(), [0; 100]);
                        loop {
                            let length = stream.read(&mut buffer).await?;
                            if length == 0 {
                                return Ok(());
                            }
                            text += &String::from_utf8_lossy(&buffer[..length]);
                            while let Some((line, rest)) = text.split_once('\n') {
                                let (answer, rest) = (format!("{}\n", line.to_uppercase()), rest.to_owned());
                                stream.write_all(answer.as_bytes()).await?;
                                text = rest;
                            }
                        }
                    }"#,
                ),
                (
                    "来了一行，没有答复它：不要等后面的",
                    "async fn serve_lines(mut stream: impl AsyncRead + AsyncWrite + Unpin) -> io::Result<()> {
                        let mut text = String::new();
                        stream.read_to_string(&mut text).await?;
                        stream.write_all(text.to_uppercase().as_bytes()).await
                    }",
                ),
                (
                    "一次来一行，也没有答对",
                    r#"async fn serve_lines(mut stream: impl AsyncRead + AsyncWrite + Unpin) -> io::Result<()> {
                        stream.write_all(b"A\nB\n").await
                    }"#,
                ),
                (
                    "应返回那个错误",
                    r#"async fn serve_lines(stream: impl AsyncRead + AsyncWrite + Unpin) -> io::Result<()> {
                        let (from, mut to) = io::split(stream);
                        let mut lines = BufReader::new(from).lines();
                        while let Ok(Some(line)) = lines.next_line().await {
                            to.write_all(format!("{}\n", line.to_uppercase()).as_bytes()).await?;
                        }
                        Ok(())
                    }"#,
                ),
                (
                    "应返回那个错误",
                    r#"async fn serve_lines(stream: impl AsyncRead + AsyncWrite + Unpin) -> io::Result<()> {
                        let (from, mut to) = io::split(stream);
                        let mut lines = BufReader::new(from).lines();
                        while let Some(line) = lines.next_line().await.unwrap() {
                            to.write_all(format!("{}\n", line.to_uppercase()).as_bytes()).await?;
                        }
                        Ok(())
                    }"#,
                ),
            ],
        ),
        (
            "check-5",
            &[
                ("任务不知道有这个订阅者", UNCHANGED),
                (
                    "任务不知道有这个订阅者",
                    r#"#[instrument]
                    async fn order(id: u32) {
                        info!("收到");
                        tokio::spawn(pack().in_current_span()).await.unwrap();
                        info!("寄出");
                    }"#,
                ),
                (
                    "span 没有带过去",
                    r#"#[instrument]
                    async fn order(id: u32) {
                        info!("收到");
                        tokio::spawn(pack().with_current_subscriber()).await.unwrap();
                        info!("寄出");
                    }"#,
                ),
                (
                    "有的行写在了另一份订单名下",
                    r#"#[instrument]
                    async fn order(id: u32) {
                        info!("收到");
                        let packing = pack().instrument(tracing::info_span!("order", id = 1));
                        tokio::spawn(packing.with_current_subscriber()).await.unwrap();
                        info!("寄出");
                    }"#,
                ),
                (
                    "每份订单的四句话，各应写一次",
                    r#"#[instrument]
                    async fn order(id: u32) {
                        pack().await;
                    }"#,
                ),
            ],
        ),
        (
            "check-6",
            &[
                ("死锁：", UNCHANGED),
                (
                    "第 2 秒就送完了，第 12 秒才返回：不要靠超时",
                    "async fn sum_all(workers: u32) -> u32 {
                        let (to, mut numbers) = mpsc::channel(2);
                        for n in 1..=workers {
                            tokio::spawn(send_numbers(n, to.clone()));
                        }
                        let mut sum = 0;
                        while let Ok(number) = timeout(Duration::from_secs(10), numbers.recv()).await {
                            sum += number.unwrap();
                        }
                        sum
                    }",
                ),
                (
                    "2 个工人，和应为 54，得到 ",
                    "async fn sum_all(workers: u32) -> u32 {
                        let (to, mut numbers) = mpsc::channel(2);
                        for n in 1..=workers {
                            tokio::spawn(send_numbers(n, to.clone()));
                        }
                        let mut sum = 0;
                        for _ in 0..workers {
                            sum += numbers.recv().await.unwrap();
                        }
                        sum
                    }",
                ),
                (
                    "结果不能写死",
                    "async fn sum_all(workers: u32) -> u32 {
                        (1..=workers).map(|n| (1..=n).map(|i| n * 10 + i).sum::<u32>()).sum()
                    }",
                ),
            ],
        ),
        (
            "check-7",
            &[
                ("7 个一起来：一秒里放行了 4 次", UNCHANGED),
                (
                    "7 个一起来：一秒里放行了 4 次",
                    "struct Limiter { limit: usize, window: Duration, recent: AsyncMutex<Vec<Instant>> }
                    impl Limiter {
                        fn new(limit: usize, window: Duration) -> Limiter {
                            Limiter { limit, window, recent: AsyncMutex::default() }
                        }
                        async fn acquire(&self) {
                            let mut recent = self.recent.lock().await;
                            if recent.len() == self.limit {
                                thread::sleep(self.window / 1000);
                                recent.remove(0);
                            }
                            recent.push(Instant::now());
                        }
                    }",
                ),
                (
                    "7 个一起来：应在",
                    "struct Limiter { step: Duration, next: AsyncMutex<Option<Instant>> }
                    impl Limiter {
                        fn new(limit: usize, window: Duration) -> Limiter {
                            Limiter { step: window / limit as u32, next: AsyncMutex::default() }
                        }
                        async fn acquire(&self) {
                            let mut next = self.next.lock().await;
                            if let Some(next) = *next {
                                tokio::time::sleep_until(next).await;
                            }
                            *next = Some(Instant::now() + self.step);
                        }
                    }",
                ),
                (
                    "每 250 毫秒 1 次，3 个一起来",
                    "struct Limiter { recent: AsyncMutex<Vec<Instant>> }
                    impl Limiter {
                        fn new(_limit: usize, _window: Duration) -> Limiter {
                            Limiter { recent: AsyncMutex::default() }
                        }
                        async fn acquire(&self) {
                            let mut recent = self.recent.lock().await;
                            if recent.len() == 3 {
                                tokio::time::sleep_until(recent[0] + Duration::from_secs(1)).await;
                                recent.remove(0);
                            }
                            recent.push(Instant::now());
                        }
                    }",
                ),
                (
                    "900 毫秒时来 5 个：一秒里放行了 4 次",
                    "struct Limiter { limit: usize, window: Duration, count: AsyncMutex<(usize, Instant)> }
                    impl Limiter {
                        fn new(limit: usize, window: Duration) -> Limiter {
                            Limiter { limit, window, count: AsyncMutex::new((0, Instant::now())) }
                        }
                        async fn acquire(&self) {
                            let mut count = self.count.lock().await;
                            if count.0 == self.limit {
                                tokio::time::sleep_until(count.1 + self.window).await;
                                *count = (0, Instant::now());
                            }
                            count.0 += 1;
                        }
                    }",
                ),
                (
                    "900 毫秒时来 5 个：应在",
                    "struct Limiter { limit: usize, window: Duration, recent: Mutex<Vec<Instant>> }
                    impl Limiter {
                        fn new(limit: usize, window: Duration) -> Limiter {
                            Limiter { limit, window, recent: Mutex::default() }
                        }
                        fn try_acquire(&self) -> bool {
                            let mut recent = self.recent.lock().unwrap();
                            recent.retain(|at| at.elapsed() < self.window);
                            let is_free = recent.len() < self.limit;
                            recent.extend(is_free.then(Instant::now));
                            is_free
                        }
                        async fn acquire(&self) {
                            while !self.try_acquire() {
                                sleep(self.window).await;
                            }
                        }
                    }",
                ),
                (
                    "有 2 个等到一半不等了：应在",
                    "struct Limiter { limit: usize, window: Duration, given: Mutex<Vec<Instant>> }
                    impl Limiter {
                        fn new(limit: usize, window: Duration) -> Limiter {
                            Limiter { limit, window, given: Mutex::default() }
                        }
                        fn reserve(&self) -> Instant {
                            let (mut given, mut at) = (self.given.lock().unwrap(), Instant::now());
                            if given.len() == self.limit {
                                at = at.max(given.remove(0) + self.window);
                            }
                            given.push(at);
                            at
                        }
                        async fn acquire(&self) {
                            tokio::time::sleep_until(self.reserve()).await;
                        }
                    }",
                ),
            ],
        ),
    ],
};

impl Exercises {
    fn path(&self) -> PathBuf {
        let names = [self.notebook.to_owned()];
        project().select(&names).unwrap().remove(0)
    }

    /// Answers every exercise, wrongly and as the notebook does, in one kernel. Returns what was not
    /// said as it should be.
    async fn answer_all(&self, redis: Option<&Service>) -> Vec<String> {
        let notebook = Notebook::load(&self.path()).unwrap();
        let variables = redis.map(|redis| ("REDIS_URL", redis.redis_url()));
        let mut kernel = common::kernel_with(&self.path(), variables).await;
        for id in self.before {
            ok(&mut kernel, &source(&notebook, id)).await;
        }
        let mut faults = Vec::new();
        // The last first: none may need what another one has brought in.
        for (check, wrong) in self.checks.iter().rev() {
            let exercise = source(&notebook, &check.replace("check", "exercise"));
            let solution = solution(&notebook, &check.replace("check", "solution"));
            ok(&mut kernel, &exercise).await;
            for (hint, answer) in wrong.iter().chain(&[("通过", solution.as_str())]) {
                let said = verdict(&mut kernel, answer, &source(&notebook, check)).await;
                if said == "跳过：没有 REDIS_URL" && redis.is_none() {
                    continue;
                }
                let as_it_should = match *hint {
                    "通过" => said == "通过",
                    _ => said.starts_with("还没有通过：") && said.contains(hint),
                };
                if !as_it_should {
                    let name = format!("{}, {check}", self.notebook);
                    faults.push(format!("{name}: {said:?} instead of {hint:?}: {answer}"));
                }
            }
        }
        kernel.shutdown().await.unwrap();
        faults
    }
}

/// What the check says about an answer, or why a cell failed.
async fn verdict(kernel: &mut KernelClient, answer: &str, check: &str) -> String {
    let answered = kernel.execute(answer, LIMIT).await.unwrap();
    let checked = kernel.execute(check, LIMIT).await.unwrap();
    for execution in [&answered, &checked] {
        if let Outcome::Failed(message) = &execution.outcome {
            return message.clone();
        }
    }
    // A spinner may have been there before: what follows a `\r` stands in its place.
    let printed = checked.stream("stdout");
    let last = printed.trim_end().rsplit(['\n', '\r']).next();
    last.unwrap_or_default().to_owned()
}

/// The text of the cell with this id.
fn source(notebook: &Notebook, id: &str) -> String {
    let cell = notebook.cells().into_iter().find(|cell| cell.id == id);
    cell.unwrap_or_else(|| panic!("no cell {id}")).source
}

/// The code of a reference solution: the first that the text shows.
fn solution(notebook: &Notebook, id: &str) -> String {
    let text = source(notebook, &format!("{id}-md"));
    let (_, code) = text.split_once("```rust\n").expect("there is code");
    let (code, _) = code.split_once("```").expect("the code ends");
    code.to_owned()
}

/// A test for each notebook, so that the name of a failed one says where to look.
macro_rules! course {
    ($($name:ident: $exercises:ident),* $(,)?) => {
        const COURSE: &[Exercises] = &[$($exercises),*];

        mod reference_solutions_pass_and_wrong_answers_are_told_what_is_wrong {
            $(
                #[test]
                fn $name() {
                    super::answer(&super::$exercises);
                }
            )*
        }
    };
}

course! {
    in_00: GUIDE,
    in_01: WHY_COROUTINES,
    in_02: DEFINE_AND_RUN,
    in_03: DOWNLOAD_FLAGS,
    in_04: AVOID_BLOCKING,
    in_05: WEB_SERVER,
    in_06: MANY_THINGS,
    in_07: CHANNELS,
    in_08: CANCELLATION,
    in_09: TESTING,
}

fn answer(exercises: &Exercises) {
    let asks = exercises.before.contains(&"redis");
    let redis = (asks && services::are_there()).then(services::redis);
    // Some sixty answers, each a cell that is compiled.
    run_within(4 * LIMIT, async {
        let faults = exercises.answer_all(redis.as_ref()).await;
        assert!(faults.is_empty(), "{}", faults.join("\n"));
    });
}

#[test]
fn every_check_of_the_course_is_answered_here() {
    let course = project().course().unwrap();
    assert_eq!(course.len(), COURSE.len(), "{course:?}");
    for (path, exercises) in course.iter().zip(COURSE) {
        assert_eq!(*path, exercises.path());
        let cells = Notebook::load(path).unwrap().cells();
        let ids = cells.iter().map(|cell| cell.id.as_str());
        let checks = ids.filter(|id| id.starts_with("check-") && !id.ends_with("-md"));
        let answered = exercises.checks.iter().map(|(check, _)| *check);
        assert_eq!(
            checks.collect::<Vec<_>>(),
            answered.collect::<Vec<_>>(),
            "{}",
            path.display()
        );
    }
}
