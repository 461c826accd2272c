//! What the crate draws, as HTML pages to look at: `cargo run -p notebook --example gallery -- DIR`
//! writes `light.html` and `dark.html`, with the colours of JupyterLab's two themes, and
//! `plain.html` without any, as an exported page may be.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use futures::{StreamExt, stream};
use nest_tokio::task::{spawn, yield_now};
use nest_tokio::time::{sleep, timeout};
use notebook::{Show, Timeline};
use serde_json::json;

/// JupyterLab's colours, and its rules for tables.
const LIGHT: &str = "--jp-layout-color0:#fff;--jp-layout-color1:#fff;--jp-layout-color2:#eee;\
--jp-border-color1:#bdbdbd;--jp-border-color2:#e0e0e0;--jp-content-font-color1:rgba(0,0,0,.87);\
--jp-content-font-color2:rgba(0,0,0,.54);--jp-rendermime-table-row-background:#f5f5f5";
const DARK: &str = "--jp-layout-color0:#111;--jp-layout-color1:#111;--jp-layout-color2:#424242;\
--jp-border-color1:#616161;--jp-border-color2:#424242;--jp-content-font-color1:#fff;\
--jp-content-font-color2:rgba(255,255,255,.7);--jp-rendermime-table-row-background:#212121";
const TABLES: &str = ".o table{margin-left:auto;margin-right:auto;table-layout:fixed}\
:not(.m).o td,:not(.m).o th{text-align:right;padding:.5em}.o tbody tr:nth-child(even){background:var(--jp-rendermime-table-row-background)}";

fn page(theme: &str, sections: &[(&str, String)]) -> String {
    let body: String = sections
        .iter()
        .map(|(title, html)| format!("<h3>{title}</h3><div class=\"o\">{html}</div>"))
        .collect();
    format!(
        "<!doctype html><meta charset=\"utf-8\"><style>:root{{{theme};--jp-ui-font-family:system-ui,sans-serif;\
         --jp-ui-font-size1:13px;--jp-code-font-size:13px;--jp-code-font-family:'DejaVu Sans Mono',monospace}}\
         body{{background:var(--jp-layout-color1,#fff);color:var(--jp-content-font-color1,#000);\
         font:14px/1.6 system-ui,sans-serif;margin:16px;max-width:1000px}}{TABLES}</style>{body}"
    )
}

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

/// A download that waits for the network twice.
async fn download(n: u64) {
    sleep(ms(20 + 7 * n % 40)).await;
    std::thread::sleep(ms(1));
    sleep(ms(30 + 13 * n % 50)).await;
}

const CODES: [&str; 12] = [
    "CN", "IN", "US", "ID", "BR", "PK", "NG", "BD", "RU", "JP", "MX", "PH",
];

async fn concurrent() -> Timeline {
    let timeline = Timeline::new();
    stream::iter(CODES.iter().enumerate())
        .map(|(n, code)| timeline.track(*code, download(n as u64)))
        .buffer_unordered(5)
        .collect::<Vec<_>>()
        .await;
    timeline
}

async fn one_after_the_other() -> Timeline {
    let timeline = Timeline::new();
    for (n, code) in CODES[..4].iter().enumerate() {
        timeline.track(*code, download(n as u64)).await;
    }
    timeline
}

/// Futures that are made in one cell and awaited in two others.
async fn three_cells() -> Timeline {
    let timeline = Timeline::new();
    let futures: Vec<_> = CODES[..6]
        .iter()
        .map(|code| timeline.track(*code, download(code.len() as u64)))
        .collect();
    sleep(ms(2_000)).await;
    let mut futures = futures.into_iter();
    futures::future::join_all(futures.by_ref().take(3)).await;
    sleep(ms(1_500)).await;
    futures::future::join_all(futures).await;
    timeline
}

async fn every_kind() -> Timeline {
    let timeline = Timeline::new();
    let bad = spawn(timeline.track("会 panic 的任务", async {
        sleep(ms(40)).await;
        panic!("这是有意的");
    }));
    let background = spawn(timeline.track("后台任务", async { sleep(ms(60_000)).await }));
    let hog = spawn(timeline.track("阻塞线程", async { std::thread::sleep(ms(120)) }));
    let both = spawn(timeline.track(
        "<换线程> 很长很长的名字，图里放不下，只能截断",
        async {
            for _ in 0..8 {
                std::thread::sleep(ms(9));
                sleep(ms(12)).await;
            }
        },
    ));
    let chatty = spawn(timeline.track("让出一万次", async {
        for _ in 0..10_000 {
            yield_now().await;
        }
    }));
    let limited = timeout(
        ms(90),
        timeline.track("超时", async { sleep(ms(500)).await }),
    );
    let winner = async {
        nest_tokio::select! {
            () = timeline.track("CN", async { sleep(ms(30)).await }) => {}
            () = timeline.track("CN", async { sleep(ms(70)).await }) => {}
        }
    };
    let lazy = timeline.track("没有人等", async {});
    let _ = futures::join!(limited, winner, bad, hog, both, chatty);
    timeline.show(); // prints the plain text
    std::mem::forget((lazy, background));
    timeline
}

async fn many() -> Timeline {
    let timeline = Timeline::new();
    stream::iter(0..1000_u64)
        .map(|n| {
            spawn(timeline.track(format!("任务 {n}"), async move {
                for m in 0..10 {
                    sleep(ms(n * m % 17 + 1)).await;
                }
            }))
        })
        .buffer_unordered(100)
        .collect::<Vec<_>>()
        .await;
    timeline
}

fn main() -> std::io::Result<()> {
    let folder = PathBuf::from(std::env::args().nth(1).unwrap_or_else(|| "gallery".into()));
    fs::create_dir_all(&folder)?;
    let runtime = nest_tokio::runtime::Builder::new_multi_thread()
        .worker_threads(3)
        .enable_all()
        .build()?;
    let html = |value: &dyn Show| match value.bundle().get("text/html") {
        Some(html) => html.as_str().unwrap_or_default().to_owned(),
        None => String::new(),
    };
    let local = nest_tokio::task::LocalSet::new();
    let first = runtime.block_on(local.run_until(concurrent()));
    let flag = |n: usize| {
        format!(
            "<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 30 20'><path fill='#fff' d='M0 0h30v20H0z'/>\
             <path fill='hsl({} 60% 50%)' d='M0 0h{}v20H0z'/></svg>",
            n * 30,
            10 + n
        )
    };
    let flags = notebook::images(CODES.iter().enumerate().map(|(n, code)| (*code, flag(n))));
    let table = notebook::table([
        json!({"代码": "CN", "国家": "中国", "字节": 2121, "耗时（ms）": 61.5, "状态": "ok"}),
        json!({"代码": "IN", "国家": "印度", "字节": 2410, "耗时（ms）": 120.25, "状态": "ok"}),
        json!({"代码": "ZZ", "国家": null, "字节": null, "耗时（ms）": 8.0, "状态": "404 <Not Found>"}),
    ])
    .caption("下载的国旗");
    let sections = [
        ("buffer_unordered(5)", html(&first)),
        ("一个接一个", html(&runtime.block_on(one_after_the_other()))),
        ("分在三个单元格里", html(&runtime.block_on(three_cells()))),
        ("各种结局", html(&runtime.block_on(every_kind()))),
        ("表格", html(&table)),
        ("图片", html(&flags)),
        (
            "没有名字的列",
            html(&notebook::table([("甲", 1), ("乙", 22)])),
        ),
    ];
    let thousand = [("一千个任务", html(&runtime.block_on(many())))];
    for (name, theme) in [("light", LIGHT), ("dark", DARK), ("plain", "")] {
        fs::write(folder.join(format!("{name}.html")), page(theme, &sections))?;
        fs::write(
            folder.join(format!("{name}-1000.html")),
            page(theme, &thousand),
        )?;
    }
    println!("{}", folder.display());
    Ok(())
}
