# Downloads wheels for several versions of Python: folder, versions, requirements.
#
# pip can download for another version than the one that runs it, but asks of its own version what a
# package needs ("tomli; python_version < '3.11'"). So what packages need is read from the wheels here,
# with the version that is meant, until nothing is missing.
import pathlib
import subprocess
import sys
import zipfile
from email.parser import HeaderParser

from pip._vendor.packaging.requirements import Requirement
from pip._vendor.packaging.utils import canonicalize_name, parse_wheel_filename

folder, versions, *wanted = sys.argv[1:]
PLATFORMS = [f"manylinux_2_{minor}_x86_64" for minor in (34, 31, 28, 27, 26, 24, 17, 12, 5)]
PLATFORMS += ["manylinux2014_x86_64", "manylinux2010_x86_64", "manylinux1_x86_64", "linux_x86_64"]


def download(version, requirements):
    options = [f"--platform={platform}" for platform in PLATFORMS]
    subprocess.run(
        [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps",
         "--only-binary=:all:", f"--python-version={version}", "--implementation=cp", *options,
         f"--dest={folder}/{version}", *requirements],
        check=True,
    )


def needs(wheel, extras, environment):
    with zipfile.ZipFile(wheel) as archive:
        name = next(name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        metadata = HeaderParser().parsestr(archive.read(name).decode())
    for text in metadata.get_all("Requires-Dist") or []:
        requirement = Requirement(text)
        marker = requirement.marker
        if marker is None or any(marker.evaluate({**environment, "extra": extra}) for extra in extras):
            yield requirement


for version in versions.split(","):
    environment = {"python_version": version, "python_full_version": f"{version}.0",
                   "implementation_version": f"{version}.0", "sys_platform": "linux",
                   "platform_system": "Linux", "platform_machine": "x86_64", "os_name": "posix",
                   "implementation_name": "cpython", "platform_python_implementation": "CPython"}
    requirements = [Requirement(text) for text in wanted]
    # Each name with everything that is said of it, and the extras for which its needs are known.
    said, done = {}, {}
    while requirements:
        new = {}
        for requirement in requirements:
            name = canonicalize_name(requirement.name)
            specifier, extras = said.get(name, (requirement.specifier, {""}))
            said[name] = (specifier & requirement.specifier, extras | requirement.extras)
            if done.get(name) != said[name][1]:
                new[name] = said[name]
        print(f"== Python {version}：{len(said)} 个包", flush=True)
        missing = [name for name in new if name not in done]
        if missing:
            download(version, [f"{name}{said[name][0]}" for name in missing])
        wheels = {}
        for path in pathlib.Path(folder, version).glob("*.whl"):
            wheels[parse_wheel_filename(path.name)[0]] = path
        requirements = []
        for name, (_, extras) in new.items():
            requirements += needs(wheels[name], extras, environment)
            done[name] = set(extras)

# One folder; what is the same for several versions is there once.
for path in pathlib.Path(folder).glob("*/*.whl"):
    path.replace(pathlib.Path(folder, path.name))
for version in versions.split(","):
    pathlib.Path(folder, version).rmdir()
