#!/bin/sh
# 打开笔记本；其余的命令：./start --help
here=$(CDPATH='' cd -P -- "$(dirname -- "$0")" && pwd) || exit
case $here in
*[[:space:]:]*)
    echo "错误：$here 里有空格或冒号，编译单元格的程序用不了：请把整个文件夹移到别处" >&2
    exit 2
    ;;
esac
# 别的 Python 和 Rust 的设置在这里没有用。
for name in $(env | sed -n 's/^\([A-Za-z0-9_]*\)=.*/\1/p'); do
    case $name in
    CARGO* | RUSTC* | RUSTFLAGS | RUSTUP_* | PIP_* | PYTHONHOME | PYTHONPATH | CONDA_* | VIRTUAL_ENV | LAB_WARM)
        unset "$name"
        ;;
    esac
done
export LAB_PACK="$here" LAB_PROJECT="$here/course" LAB_PROGRAMS="$here/bin" LAB_CACHE="$here/cache"
export PATH="$here/toolchain/bin:$PATH" RUST_SRC_PATH="$here/toolchain/lib/rustlib/src/rust/library"
# 不用网络。
export PIP_NO_INDEX=1 PIP_FIND_LINKS="$here/wheels" PIP_CONFIG_FILE=/dev/null PIP_NO_CACHE_DIR=1
# 别处什么也不留下。
jupyter=$here/jupyter
export JUPYTER_CONFIG_DIR="$jupyter/config" JUPYTER_DATA_DIR="$jupyter/data" \
    JUPYTER_RUNTIME_DIR="$jupyter/runtime" IPYTHONDIR="$jupyter/ipython"
exec "$here/bin/lab" "$@"
