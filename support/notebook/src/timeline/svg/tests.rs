//! The picture, read back as data.

use roxmltree::{Document, Node};

use super::*;
use crate::timeline::figures::sample::{MS, picture, task};

fn elements<'a>(page: &'a Document, class: &'a str) -> Vec<Node<'a, 'a>> {
    let all = page.descendants();
    all.filter(|node| node.attribute("class") == Some(class))
        .collect()
}

fn number(node: Node, name: &str) -> f64 {
    node.attribute(name).unwrap().parse().unwrap()
}

fn title<'a>(node: Node<'a, 'a>) -> &'a str {
    let title = node.children().find(|child| child.has_tag_name("title"));
    title.and_then(|title| title.text()).unwrap_or_default()
}

fn lanes<'a>(page: &'a Document) -> Vec<Node<'a, 'a>> {
    let group = elements(page, "lanes")[0];
    group.children().filter(Node::is_element).collect()
}

fn polls<'a>(lane: Node<'a, 'a>) -> Vec<Node<'a, 'a>> {
    let is_poll = |node: &Node| {
        node.has_tag_name("rect")
            && node
                .attribute("class")
                .is_some_and(|class| class.starts_with('p'))
    };
    lane.children().filter(is_poll).collect()
}

/// The picture in the documentation of [`Timeline`](crate::Timeline).
fn example() -> Picture {
    let done = |ms| Some((ms * MS, End::Completed));
    let tasks = vec![
        task(
            "CN",
            &[
                (MS, 3 * MS, 1),
                (150 * MS, 153 * MS, 2),
                (300 * MS, 302 * MS, 1),
            ],
            done(302),
        ),
        task(
            "IN",
            &[(3 * MS, 4 * MS, 1), (190 * MS, 194 * MS, 1)],
            done(194),
        ),
        task(
            "US（太慢，超时）",
            &[(4 * MS, 6 * MS, 2)],
            Some((400 * MS, End::Cancelled)),
        ),
        task("解压", &[(200 * MS, 460 * MS, 1)], done(460)),
        task(
            "BR",
            &[(6 * MS, 8 * MS, 2), (220 * MS, 225 * MS, 2)],
            Some((225 * MS, End::Panicked)),
        ),
        task("ID", &[(8 * MS, 10 * MS, 2), (480 * MS, 484 * MS, 1)], None),
    ];
    Picture::new(tasks, 512 * MS)
}

#[test]
fn the_picture_in_the_documentation_is_what_is_drawn() {
    crate::pictures::check("timeline.svg", &draw(&example()));
}

#[test]
fn the_legend_explains_every_sign_within_the_picture() {
    let svg = draw(&picture());
    let page = Document::parse(&svg).unwrap();
    let legend = elements(&page, "legend")[0];
    let texts = legend.children().filter(|node| node.has_tag_name("text"));
    let texts: Vec<_> = texts
        .inspect(|text| assert!(number(*text, "x") < 900.0))
        .filter_map(|text| text.text())
        .collect();
    assert_eq!(
        texts.join(" "),
        "任务 1 在 poll 中，占用线程 1 2 线程 2 等待 已创建，未开始 完成 取消 panic 未结束"
    );
}

#[test]
fn a_lane_a_task_with_label_title_and_end() {
    let svg = draw(&picture());
    let page = Document::parse(&svg).unwrap();
    let lanes = lanes(&page);
    assert_eq!(lanes.len(), 7);
    let label = |lane: Node| {
        let label = lane.children().find(|node| node.has_tag_name("text"));
        label.unwrap().text().unwrap().to_owned()
    };
    let labels: Vec<_> = lanes.iter().map(|lane| label(*lane)).collect();
    let expected = [
        "CN #1",
        "CN #2",
        "<&\"取消\">",
        "panic",
        "未结束",
        "惰性",
        "丢弃",
    ];
    assert_eq!(labels, expected);
    assert_eq!(
        title(lanes[0]),
        "CN #1：52 ms 后完成\npoll 2 次，共占用线程 3 ms，等待 49 ms"
    );
    assert_eq!(
        title(lanes[4]),
        "未结束：已经 96 ms，还没有结束\npoll 1 次，共占用线程 1 ms，等待 95 ms"
    );
    assert_eq!(title(lanes[6]), "丢弃：70 ms 后被丢弃，从未被 poll");
    let ends = |lane: Node| -> Vec<String> {
        let classes = lane.children().filter_map(|node| node.attribute("class"));
        classes
            .filter(|class| ["ok", "ca", "pa", "un"].contains(class))
            .map(str::to_owned)
            .collect()
    };
    let ends: Vec<_> = lanes.iter().flat_map(|lane| ends(*lane)).collect();
    assert_eq!(ends, ["ok", "ok", "ca", "pa", "un", "un", "ca"]);
}

#[test]
fn a_poll_is_where_and_as_wide_as_it_was_long() {
    let svg = draw(&picture());
    let page = Document::parse(&svg).unwrap();
    let polls = polls(lanes(&page)[1]);
    assert_eq!(polls.len(), 1);
    let long = polls[0];
    let axis = elements(&page, "axis")[0].first_element_child().unwrap();
    let path = axis.attribute("d").unwrap();
    let (left, right) = path[1..].split_once('H').unwrap();
    let left: f64 = left.split(' ').next().unwrap().parse().unwrap();
    let plot = right.parse::<f64>().unwrap() - left;
    assert!((number(long, "x") - (left + 0.01 * plot)).abs() < 0.11);
    assert!((number(long, "width") - 0.30 * plot).abs() < 0.11);
    assert_eq!(
        title(long),
        "CN #2：第 1 次 poll，从 1 ms 起，在线程 1 上执行了 30 ms"
    );
    assert_eq!(long.attribute("class"), Some("p0"));
    assert!(svg.contains(">1 · 30 ms</text>"));
}

#[test]
fn the_curve_goes_up_and_down_with_the_tasks() {
    let done = |end| Some((end * MS, End::Completed));
    let tasks = vec![
        task("a", &[(0, 40 * MS, 1)], done(40)),
        task("b", &[(20 * MS, 60 * MS, 2)], done(60)),
        task("c", &[(60 * MS, 100 * MS, 2)], done(100)),
    ];
    let svg = draw(&Picture::new(tasks, 0));
    let page = Document::parse(&svg).unwrap();
    let curve = elements(&page, "c")[0].attribute("d").unwrap();
    let heights: Vec<f64> = curve
        .split('V')
        .skip(1)
        .map(|part| part.split(['H', 'Z']).next().unwrap().parse().unwrap())
        .collect();
    let (zero, two) = (heights[heights.len() - 1], heights[1]);
    assert_eq!(zero - two, CURVE);
    let one = (zero + two) / 2.0;
    // At 60 ms one task ends and another starts: no step.
    assert_eq!(heights, [one, two, one, zero, zero]);
}

#[test]
fn what_is_cut_short_is_marked() {
    let done = |ms| Some((ms * MS, End::Completed));
    let tasks = vec![
        task("a", &[(0, 100 * MS, 1)], done(100)),
        task("b", &[(9_000 * MS, 9_100 * MS, 1)], done(9_100)),
    ];
    let svg = draw(&Picture::new(tasks, 0));
    let page = Document::parse(&svg).unwrap();
    let gaps = elements(&page, "z");
    assert_eq!(gaps.len(), 2); // behind the lanes and behind the curve
    assert_eq!(title(gaps[0]), "截短了：8.9 s 里没有任务在进行");
    let second = polls(lanes(&page)[1])[0];
    let end = number(gaps[0], "x") + number(gaps[0], "width");
    assert!((number(second, "x") - end).abs() < 0.2);
    assert!(number(second, "width") > 300.0);
}

#[test]
fn threads_beyond_the_colours_share_one() {
    let polls: Vec<_> = (0..9)
        .map(|n| (n * 10 * MS, (n * 10 + 5) * MS, 30 + n as u32))
        .collect();
    let svg = draw(&Picture::new(vec![task("a", &polls, None)], 0));
    let page = Document::parse(&svg).unwrap();
    let lane = lanes(&page)[0];
    let classes: Vec<_> = self::polls(lane)
        .iter()
        .filter_map(|poll| poll.attribute("class"))
        .collect();
    assert_eq!(
        classes,
        ["p0", "p1", "p2", "p3", "p4", "p4", "p4", "p4", "p4"]
    );
    assert!(svg.contains("其余 5 个线程"));
    assert!(title(self::polls(lane)[8]).contains("在线程 9 上执行了 5 ms"));
}

/// `count` tasks of `polls` polls each.
fn many(count: u64, polls: u64, label: &str) -> Picture {
    let task = |n: u64| {
        let polls: Vec<_> = (0..polls)
            .map(|m| {
                (
                    n * MS + m * 3 * MS,
                    n * MS + m * 3 * MS + MS,
                    (n + m) as u32 % 7 + 1,
                )
            })
            .collect();
        let end = match n % 3 {
            0 => End::Completed,
            1 => End::Cancelled,
            _ => End::Panicked,
        };
        self::task(
            label,
            &polls,
            Some((n * MS + polls.len() as u64 * 3 * MS, end)),
        )
    };
    Picture::new((0..count).map(task).collect(), 0)
}

#[test]
fn a_thousand_tasks_take_less_than_a_megabyte_whatever_they_do() {
    for label in ["任务", &"很长的名字&".repeat(100)] {
        let svg = draw(&many(1_000, 250, label));
        assert!(svg.len() < 1_000_000, "{}", svg.len());
        assert_eq!(lanes(&Document::parse(&svg).unwrap()).len(), 1_000);
    }
}

#[test]
fn more_lanes_than_can_be_drawn_are_mentioned() {
    let svg = draw(&many(5_000, 3, "任务"));
    assert_eq!(lanes(&Document::parse(&svg).unwrap()).len(), WHOLE.lanes);
    assert!(svg.contains("曲线和数字包括全部 5000 个"));
    assert!(svg.len() < 1_500_000, "{}", svg.len());
}

#[test]
fn every_scale_of_time_and_number_gives_a_sound_picture() {
    for unit in [1, 1_000, MS, 1_000 * MS, 60_000 * MS, 86_400_000 * MS] {
        for count in [1, 2, 30, 70, 200] {
            let tasks: Vec<Task> = (0..count)
                .map(|n| {
                    task(
                        "x",
                        &[(n * unit, (n + 1) * unit, 1)],
                        Some(((n + 2) * unit, End::Completed)),
                    )
                })
                .collect();
            let svg = draw(&Picture::new(tasks, 0));
            assert!(!svg.contains("NaN") && !svg.contains("inf"));
            let page = Document::parse(&svg).unwrap();
            assert_eq!(lanes(&page).len() as u64, count);
            for node in page.descendants() {
                for x in node.attribute("x").iter().chain(&node.attribute("y")) {
                    assert!(x.parse::<f64>().unwrap() >= 0.0);
                }
                assert!(node.attribute("id").is_none(), "pages hold many of these");
            }
        }
    }
}

#[test]
fn merged_polls_are_fainter_and_say_so() {
    let mut crowded = task("忙", &[(0, 100 * MS, 1)], None);
    crowded.spans[0].polls = 1_000;
    crowded.spans[0].busy = 20 * MS;
    (crowded.polls, crowded.merged) = (1_000, true);
    let svg = draw(&Picture::new(vec![crowded], 100 * MS));
    let page = Document::parse(&svg).unwrap();
    let poll = polls(lanes(&page)[0])[0];
    assert_eq!(poll.attribute("class"), Some("p0 d"));
    assert_eq!(
        title(poll),
        "忙：第 1–1000 次 poll（1000 次），从 0 起的 100 ms 里，在线程 1 上共执行了 20 ms"
    );
    assert!(svg.contains("被 poll 的次数太多"));
}

#[test]
fn no_tasks_make_a_picture_that_says_what_to_do() {
    let svg = draw(&Picture::new(Vec::new(), 0));
    assert!(Document::parse(&svg).is_ok());
    assert!(svg.contains("还没有任务"));
}
