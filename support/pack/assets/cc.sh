#!/bin/sh
# Stands in the place of a C compiler, as far as rustc calls one: to link. It calls Rust's own linker
# with what a C compiler would add: the files in `link` beside this folder. What really is for a C
# compiler goes to the next one on the path.
here=$(CDPATH='' cd -P -- "$(dirname -- "$0")/.." && pwd) || exit
for word; do
    case $word in
    -c | -E | -S | -v | --version | -dump* | -print-* | *.c)
        IFS=:
        for folder in $PATH; do
            if [ -x "$folder/cc" ] && ! [ "$folder/cc" -ef "$here/bin/cc" ]; then
                unset IFS
                exec "$folder/cc" "$@"
            fi
        done
        echo "cc: 这里没有 C 编译器，编译不了 C 代码" >&2
        exit 1
        ;;
    esac
done
link=$here/link
is_library=
tell=
count=$#
while [ "$count" -gt 0 ]; do
    word=$1
    shift
    count=$((count - 1))
    case $word in
    -shared) is_library=1 && set -- "$@" "$word" ;;
    -Wl,*)
        rest=${word#-Wl,}
        while [ -n "$rest" ]; do
            set -- "$@" "${rest%%,*}"
            case $rest in *,*) rest=${rest#*,} ;; *) rest= ;; esac
        done
        ;;
    -Xlinker) set -- "$@" "$1" && shift && count=$((count - 1)) ;;
    -pie | -static-pie) set -- "$@" -pie ;;
    -'###') tell=1 ;;
    -m64 | -no-pie | -nodefaultlibs | -nostartfiles | -rdynamic | -fuse-ld=* | -B*) ;;
    *) set -- "$@" "$word" ;;
    esac
done
if [ -n "$is_library" ]; then
    set -- "$link/crti.o" "$link/crtbeginS.o" "$@"
else
    set -- "$link/Scrt1.o" "$link/crti.o" "$link/crtbeginS.o" "$@" \
        -dynamic-linker /lib64/ld-linux-x86-64.so.2
fi
set -- -flavor gnu -m elf_x86_64 --eh-frame-hdr --hash-style=gnu "-L$link" "$@" \
    -lgcc "$link/crtendS.o" "$link/crtn.o"
if [ -n "$tell" ]; then
    # As gcc does when it is asked what it would call.
    { printf ' rust-lld' && printf ' "%s"' "$@" | sed 's/"cell.o"/cell.o/' && echo; } >&2
    exit
fi
exec "$here/lib/rustlib/x86_64-unknown-linux-gnu/bin/rust-lld" "$@"
