"""The public conformance suite `jupyter_kernel_test` with every sample that it has a place for.

`tests/conformance.rs` runs it, with the names of tests or, for all of them, with none. From the
environment:

KERNEL      the kernelspec under test
FIRST_CELL  what is run before anything else; if empty, cells need no crate
FOLDER      the kernel's working directory

The last line printed is a JSON object: what ran, what was skipped, what failed.
"""

import contextlib
import functools
import json
import os
import sys
import unittest

import jupyter_kernel_test as suite
from jupyter_client.manager import KernelManager, start_new_kernel

FIRST_CELL = os.environ["FIRST_CELL"]

# Seconds. A cell is compiled, perhaps while other tests keep the machine busy.
LIMIT = 120
suite.TIMEOUT = LIMIT


@contextlib.contextmanager
def patience(channel):
    """Lets the suite wait for messages of which it thinks that they must be there already.

    It gives each 0.1 s, which on a busy machine says nothing about the kernel.
    """
    get_msg = channel.get_msg
    channel.get_msg = lambda timeout=None: get_msg(timeout=LIMIT)
    try:
        yield
    finally:
        del channel.get_msg


class RustKernel(suite.KernelTests):
    kernel_name = os.environ["KERNEL"]
    language_name = "Rust"
    file_extension = ".rs"

    @classmethod
    def setUpClass(cls):
        cls.km, cls.kc = start_new_kernel(
            kernel_name=cls.kernel_name, cwd=os.environ["FOLDER"], startup_timeout=LIMIT
        )
        # What completion and inspection ask for.
        for code in (
            FIRST_CELL,
            "let kept = vec![1, 2, 3];",
            "fn add_one(n: i32) -> i32 { n + 1 }",
        ):
            reply = cls.kc.execute_interactive(code, timeout=LIMIT)
            assert reply["content"]["status"] == "ok", (code, reply["content"])

    def execute_helper(self, code, timeout=LIMIT, **options):
        with patience(self.kc.iopub_channel):
            return super().execute_helper(code, timeout=timeout, **options)

    def get_non_kernel_info_reply(self, timeout=LIMIT):
        # The suite's own default is to wait for ever.
        return super().get_non_kernel_info_reply(timeout=timeout)

    code_hello_world = 'println!("hello, world");'
    code_stderr = 'eprintln!("hello, stderr");'

    completion_samples = [
        {"text": "kept.is_emp", "matches": {"is_empty()"}},
        {"text": "add_o", "matches": {"add_one()"}},
        {"text": "std::time::Dur", "matches": {"Duration"}},
        {"text": ":va", "matches": {":vars"}},
    ]

    complete_code_samples = [
        "",
        "1 + 1",
        "let x = 1;",
        "// a comment",
        "/* a comment */",
        ":vars",
        ':dep futures = "0.3"',
        "use std::time::Duration;",
        "fn one() -> i32 {\n    1\n}",
        "fn one() -> i32 { 1 }\none()",
        "tokio::task::yield_now().await;",
        'let text = "a { in a text";',
        "let raw = r#\"a \" in a text\"#;",
        "let quote = '\"';",
        "fn first<'a>(text: &'a str) -> &'a str { text }",
        "impl<T> Trait for T where T: Clone {}",
        "macro_rules! nothing { () => {} }",
    ]
    incomplete_code_samples = [
        "fn one() -> i32 {",
        "fn one() -> i32 {\n    1",
        "println!(",
        "vec![1, 2",
        "let x =",
        "1 +",
        "match kept {",
        "if true { 1 } else {",
        'let text = "not yet closed',
        'let raw = r#"not yet closed"',
        "/* not yet closed",
        "/* /* nested */",
        "kept.iter()\n    .map(|n| {",
        "#[derive(Clone)]",
    ]
    invalid_code_samples = [
        "fn one() -> i32 }",
        "let x = );",
        "let = 5;",
        "1 + )",
        "vec![1, 2)",
        "struct { }",
        "let x: = 1;",
        "fn 1one() {}",
        "match kept { => }",
    ]

    # Each is run by a `test_error` of its own.
    errors = [
        'panic!("as announced")',
        'println!("{}", [1, 2, 3][kept.len()]);',
        'let n: i32 = "abc".parse()?;',
        'let n: i32 = "";',
        "let n = ;",
        ":dep",
    ]
    if FIRST_CELL:
        errors.append('tokio::task::yield_now().await; panic!("as announced")')
    code_generate_error = errors[0]

    def test_error(self):
        for code in self.errors:
            with self.subTest(code=code):
                self.code_generate_error = code
                super().test_error()

    code_execute_result = [
        {"code": "6 * 7", "result": "42"},
        {"code": '"ab".repeat(2)', "result": '"abab"'},
        {"code": "kept.len()", "result": "3"},
    ]

    # What evcxr's own libraries print, the `evcxr_image` crate for one.
    code_display_data = [
        {
            "code": r'println!("EVCXR_BEGIN_CONTENT text/html\n<b>bold</b>\nEVCXR_END_CONTENT");',
            "mime": "text/html",
        },
    ]
    if FIRST_CELL:
        code_display_data += [
            {"code": 'notebook::html("<b>bold</b>").show();', "mime": "text/html"},
            {"code": 'notebook::html("<b>bold</b>").show();', "mime": "text/plain"},
            {"code": r'notebook::png(b"\x89PNG\r\n\x1a\n").show();', "mime": "image/png"},
            {"code": 'notebook::markdown("**bold**").show();', "mime": "text/markdown"},
            # The last expression is a result all the same.
            {"code": 'notebook::html("<b>bold</b>").show(); 6 * 7', "mime": "text/html"},
        ]
        code_clear_output = 'println!("old"); notebook::clear(); println!("new");'

    supported_history_operations = ("tail", "range", "search")
    code_history_pattern = "kept.l*"

    code_inspect_sample = "kept"


class IopubWelcome(suite.IopubWelcomeTests):
    kernel_name = os.environ["KERNEL"]
    support_iopub_welcome = True

    @classmethod
    def setUpClass(cls):
        cls.km = KernelManager(kernel_name=cls.kernel_name)
        cls.km.start_kernel(cwd=os.environ["FOLDER"])
        cls.kc = cls.km.client()
        # The suite waits for ever.
        cls.kc.get_iopub_msg = functools.partial(cls.kc.get_iopub_msg, timeout=LIMIT / 4)


if __name__ == "__main__":
    # Not `unittest.main`, which would also collect the suite's base classes.
    tests = unittest.TestSuite(
        test
        for case in (RustKernel, IopubWelcome)
        for test in unittest.defaultTestLoader.loadTestsFromTestCase(case)
        if not sys.argv[1:] or test._testMethodName in sys.argv[1:]
    )
    result = unittest.TextTestRunner(verbosity=2).run(tests)
    # A part of a test counts as that test.
    name = lambda test: getattr(test, "test_case", test)._testMethodName
    print(
        json.dumps(
            {
                "run": result.testsRun,
                "skipped": {name(test): reason for test, reason in result.skipped},
                "failed": sorted({name(test) for test, _ in result.failures + result.errors}),
            }
        ),
        flush=True,
    )
