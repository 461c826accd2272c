"""What `downloads.rs` compares itself with: the book's algorithm, with aiohttp.

A task for each file, all under one semaphore; each file is saved in the executor. Unlike in the
book, the saving is awaited. Prints the seconds that it took.

Usage: python flags_aiohttp.py URL FOLDER FILES CONCURRENCY CODES
"""

import asyncio
import sys
import time
from pathlib import Path

import aiohttp


async def download_one(session, semaphore, url, path):
    async with semaphore:
        async with session.get(url) as response:
            response.raise_for_status()
            picture = await response.read()
    await asyncio.get_running_loop().run_in_executor(None, path.write_bytes, picture)


async def main(site, folder, files, concurrency, codes):
    semaphore = asyncio.Semaphore(concurrency)
    async with aiohttp.ClientSession() as session:
        since = time.perf_counter()
        await asyncio.gather(
            *(
                download_one(session, semaphore, f"{site}/{code}/{code}.svg", folder / f"{i}.svg")
                for i, code in zip(range(files), codes * (files // len(codes) + 1))
            )
        )
        print(time.perf_counter() - since)


url, folder, files, concurrency, codes = sys.argv[1:]
asyncio.run(main(url, Path(folder), int(files), int(concurrency), codes.split(",")))
