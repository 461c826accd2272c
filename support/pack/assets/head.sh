#!/bin/sh
# 会运行的异步 Rust 笔记 {version}：解开它，运行 sh 这个文件。后面是一个解开的程序和压缩的内容。
say() { echo "错误：$1" >&2; exit 1; }
[ "$(uname -sm)" = "Linux x86_64" ] || say "只能在 Linux 或 WSL2 上用，x86_64；这里是 $(uname -sm)"
glibc=$(getconf GNU_LIBC_VERSION 2>/dev/null | sed 's/.* //')
[ -n "$glibc" ] || say "这个系统没有 glibc（Alpine 之类的不行）：请换成 Debian、Ubuntu、Fedora 之类的"
[ "${glibc#*.}" -ge "{glibc_minor}" ] || say "glibc 是 $glibc，要 {glibc} 或更新的：请换一个新一些的系统"
for python in python3 {pythons}; do
    "$python" -c 'import sys, venv, ensurepip; sys.exit(not (3, {oldest}) <= sys.version_info < (3, {newest} + 1))' 2>/dev/null && break
    python=
done
[ -n "$python" ] ||
    say "要 Python 3.{oldest} 到 3.{newest}，带 venv：请安装（Debian、Ubuntu：apt install python3-venv；Fedora、RHEL：dnf install python3.12），然后再运行一次"
folder=$(mktemp -d) || exit
trap 'rm -rf "$folder"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
tail -c +{program_at} -- "$0" | head -c {program_length} >"$folder/unpack" && chmod +x "$folder/unpack" || exit
"$folder/unpack" unpack --offset {payload_at} --name {name} "$0" "$@"
exit
