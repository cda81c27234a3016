"""Whole builds through the engine: steps, layers, config, history, cache."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from rootlay.store.containers.containers import Containers
from rootlay.store.containers.removal import trash_container
from rootlay.store.disk.removetree import remove_tree
from rootlay.store.model.errors import BadReference, UnknownImage
from rootlay.vfs.build.result.failure import BuildFailed, RunFailed
from rootlay.vfs.build.result.history import go_duration
from rootlay.vfs.run.program import DEFAULT_PATH
from tests.vfs.build.conftest import Notes, Yard

EMPTY_LAYER = "sha256:5f70bf18a086007016e948b04aed3b82103a36bea41755b6cddfaf10ace3c6ef"


def test_run_makes_a_layer_of_what_it_changed_and_of_nothing_else(yard: Yard) -> None:
    built = yard.build("FROM base\nRUN echo hi > /etc/new && rm /etc/motd\n")
    assert built.read("/etc/new") == "hi\n"
    assert "motd" not in built.ls("/etc")
    assert yard.layer_names(built.image) == ["etc", "etc/.wh.motd", "etc/new"]


def test_each_run_sees_what_those_before_it_did(yard: Yard) -> None:
    steps = "".join(f"RUN cat /n{n - 1} > /n{n}; echo {n} >> /n{n}\n" for n in range(1, 6))
    built = yard.build(f"FROM base\nRUN echo 0 > /n0\n{steps}")
    assert built.read("/n5").split() == ["0", "1", "2", "3", "4", "5"]
    assert len(built.image.diff_ids) == 7
    assert yard.layer_names(built.image) == ["n5"]


def test_run_after_copy_after_run(yard: Yard) -> None:
    yard.write("in", "from the context\n")
    built = yard.build("FROM base\nRUN echo a > /a\nCOPY in /b\nRUN cat /a /b > /c\nCOPY in /d\n")
    assert built.read("/c") == "a\nfrom the context\n"
    assert built.ls("/")[:4] == ["a", "b", "bin", "c"]


def test_a_run_that_changes_nothing_gives_the_empty_layer(yard: Yard) -> None:
    assert str(yard.build("FROM base\nRUN true\n").image.diff_ids[-1]) == EMPTY_LAYER


def test_a_change_of_the_root_directory_itself_is_in_the_layer(yard: Yard) -> None:
    built = yard.build("FROM base\nRUN chmod 711 /\nRUN echo x > /x\n")
    assert built.mode("/")[0] == 0o711
    assert yard.layer_names(built.image) == ["x"]


def test_a_config_that_no_program_reads_is_an_error_of_the_line(yard: Yard) -> None:
    text = "FROM scratch\nENV A=" + "a" * 100_000 + "\n" + "LABEL x=$A\n" * 50
    with pytest.raises(
        BuildFailed, match=r"^Dockerfile:43: LABEL x=\$A: the image's config becomes longer than 4 MiB$"
    ):
        yard.build(text)


def test_run_has_the_environment_user_and_directory_of_the_instructions_before(yard: Yard) -> None:
    built = yard.build(
        'FROM base\nARG V=1\nARG UNSET\nENV A="x y"\nWORKDIR /w\nUSER user\n'
        "RUN echo $A $V ${UNSET-none} $(id -u):$(id -g) $PWD\n",
        build_args={"V": "2"},
    )
    assert built.notes.text == "x y 2 none 1234:1235 /w\n"
    assert built.mode("/w")[1:] == (0, 0)
    assert built.image.config.config.env == (f"PATH={DEFAULT_PATH}", "A=x y")


def test_workdir_is_made_for_the_user_of_then(yard: Yard) -> None:
    built = yard.build("FROM base\nUSER user\nWORKDIR home\nWORKDIR sub/../x\n")
    assert built.image.config.config.working_dir == "/home/x"
    assert built.mode("/home") == (0o755, 1234, 1235)
    assert built.mode("/home/x") == (0o755, 1234, 1235)


def test_shell_changes_what_runs_the_shell_form(yard: Yard) -> None:
    built = yard.build('FROM base\nSHELL ["/bin/sh", "-e", "-c"]\nRUN ["/bin/echo", "$HOME"]\nRUN echo $-\nCMD a b\n')
    assert built.notes.text.splitlines()[0] == "$HOME"
    assert "e" in built.notes.text.splitlines()[1]
    assert built.image.config.config.cmd == ("/bin/sh", "-e", "-c", "a b")


def test_config_and_history_are_as_docker_writes_them(yard: Yard) -> None:
    yard.write("f")
    image = yard.build(
        "FROM base\nMAINTAINER me\nARG X=1\nENV A=1 B=2\nLABEL l=m\nEXPOSE 80 53/udp\nVOLUME /data\nUSER user\n"
        'STOPSIGNAL SIGINT\nHEALTHCHECK --interval=1m30s --retries=3 CMD ["true"]\nONBUILD RUN true\n'
        'ENTRYPOINT ["e"]\nCMD ["c", "d"]\nRUN true\nCOPY --chown=1 f /\nWORKDIR /w\n',
        labels={"from": "outside"},
    ).image
    run = image.config.config
    assert image.config.author == "me"
    assert run.env == (f"PATH={DEFAULT_PATH}", "A=1", "B=2")
    assert run.labels == {"l": "m", "from": "outside"}
    assert run.exposed_ports == ("80/tcp", "53/udp")
    assert run.volumes == ("/data",)
    assert (run.user, run.stop_signal, run.working_dir) == ("user", "SIGINT", "/w")
    assert (run.entrypoint, run.cmd) == (("e",), ("c", "d"))
    assert run.extra["Healthcheck"] == {"Test": ["CMD", "true"], "Interval": 90_000_000_000, "Retries": 3}
    assert run.extra["OnBuild"] == ["RUN true"]
    assert [(step.created_by, step.empty_layer) for step in image.config.history[1:]] == [
        ("MAINTAINER me", True),
        ("ARG X=1", True),
        ("ENV A=1 B=2", True),
        ("LABEL l=m", True),
        ("EXPOSE [80/tcp 53/udp]", True),
        ("VOLUME [/data]", True),
        ("USER user", True),
        ("STOPSIGNAL SIGINT", True),
        (r"""HEALTHCHECK &{["CMD" "true"] "1m30s" "0s" "0s" "0s" '\x03'}""", True),
        ('ENTRYPOINT ["e"]', True),
        ('CMD ["c" "d"]', True),
        ("RUN |1 X=1 /bin/sh -c true", False),
        ("COPY --chown=1 f /", False),
        ("WORKDIR /w", False),
    ]


def test_go_writes_durations_so() -> None:
    assert [go_duration(int(ns)) for ns in (0, 5, 2e8, 1.5e9, 120e9, 3600e9, 3725e9)] == [
        "0s", "5ns", "200ms", "1.5s", "2m0s", "1h0m0s", "1h2m5s",
    ]  # fmt: skip


def test_entrypoint_forgets_an_inherited_cmd_but_not_its_own_stages(yard: Yard) -> None:
    yard.build('FROM base\nCMD ["inherited"]\n', tags=("with-cmd",))
    assert yard.build('FROM with-cmd\nENTRYPOINT ["e"]\n').image.config.config.cmd is None
    assert yard.build('FROM with-cmd\nCMD ["own"]\nENTRYPOINT ["e"]\n').image.config.config.cmd == ("own",)


def test_onbuild_runs_in_the_next_build_and_is_not_inherited_further(yard: Yard) -> None:
    yard.write("f", "content\n")
    yard.build("FROM base\nONBUILD COPY f /f\nONBUILD ENV T=1\n", tags=("parent",))
    child = yard.build("FROM parent\nRUN cat /f; echo $T\n", tags=("child",))
    assert child.notes.text == "content\n1\n"
    assert "OnBuild" not in child.image.config.config.extra
    assert yard.build("FROM child\n").image.diff_ids == child.image.diff_ids


def test_only_the_stages_that_the_target_needs_are_built(yard: Yard) -> None:
    text = (
        "FROM base AS one\nRUN echo 1 > /one\nFROM base AS unused\nRUN exit 7\n"
        "FROM scratch AS two\nCOPY --from=one /one /two\nFROM two\nCOPY --from=0 /one /three\n"
    )
    built = yard.build(text)
    assert built.ls("/") == ["three", "two"]
    assert yard.build(text, target="two").ls("/") == ["two"]
    assert built.image.config.config.env[0].startswith("PATH=")


def test_copy_from_an_image_keeps_owners(yard: Yard) -> None:
    yard.build("FROM base\nRUN echo x > /o && chown 5:6 /o && chmod 4750 /o\n", tags=("owned",))
    built = yard.build("FROM scratch\nCOPY --from=owned /o /p\n")
    assert built.mode("/p") == (0o4750, 5, 6)


def test_stages_in_a_circle_are_an_error_that_names_them(yard: Yard) -> None:
    with pytest.raises(BuildFailed, match="a -> b -> a"):
        yard.build("FROM base AS a\nCOPY --from=b /x /x\nFROM base AS b\nCOPY --from=a /x /x\nFROM a\n")


def test_an_unknown_target_names_the_near_miss(yard: Yard) -> None:
    with pytest.raises(BuildFailed, match="did you mean final"):
        yard.build("FROM base AS final\n", target="finl")


def test_a_second_build_comes_from_the_cache_and_is_the_same_image(yard: Yard) -> None:
    yard.write("f", "content\n")
    text = "FROM base\nENV A=1\nRUN date -u +%N > /n || echo $$ > /n\nCOPY f /f\nWORKDIR /x\nCMD x\n"
    first = yard.build(text)
    second = yard.build(text)
    assert second.image.id == first.image.id
    assert second.notes.cached == ["RUN", "COPY", "WORKDIR"]
    assert (second.result.cached_steps, second.result.made_steps) == (3, 0)
    assert yard.build(text, no_cache=True).notes.cached == []


def test_times_alone_hit_the_cache_and_anything_else_misses_it(yard: Yard) -> None:
    file = yard.write("d/f", "content\n")
    text = "FROM base\nCOPY d /d\n"
    yard.build(text)
    os.utime(file, (1, 1))
    assert yard.build(text).notes.cached == ["COPY"]
    file.chmod(0o600)
    assert yard.build(text).notes.cached == []
    file.write_text("cOntent\n")
    assert yard.build(text).notes.cached == []
    (yard.context / "d/link").symlink_to("f")
    assert yard.build(text).notes.cached == []
    assert yard.build(text).notes.cached == ["COPY"]


def test_the_cache_knows_user_environment_directory_and_arguments(yard: Yard) -> None:
    run = "RUN echo cache-key-test > /tmp/k\n"
    yard.build(f"FROM base\n{run}")
    for before in ("USER user\n", "ENV K=1\n", "ARG K=2\n", "WORKDIR /etc\n"):
        assert "RUN" not in yard.build(f"FROM base\n{before}{run}").notes.cached
    assert yard.build(f"FROM base\nLABEL a=b\n{run}").notes.cached == ["RUN"]


def test_a_failing_run_says_where_and_leaves_nothing(yard: Yard) -> None:
    notes = Notes()
    before = {record.id for record in yard.store.images()}
    with pytest.raises(RunFailed, match=r"Dockerfile:3: RUN echo no >&2; exit 3: .* exit code 3") as failure:
        yard.build("FROM base\nRUN true\nRUN echo no >&2; exit 3\n", notes)
    assert failure.value.status == 3
    assert notes.text == "no\n"
    assert {record.id for record in yard.store.images()} == before
    assert not list(Containers(yard.store.root).iter_all())


def test_keep_failed_leaves_the_container_as_it_was(yard: Yard) -> None:
    with pytest.raises(RunFailed) as failure:
        yard.build("FROM base\nENV A=1\nRUN echo trace > /trace; exit 1\n", keep_failed=True)
    record = Containers(yard.store.root).find(failure.value.container)
    assert (record.upper / "trace").read_text() == "trace\n"
    yard.build("FROM base\nRUN true\n")
    assert Containers(yard.store.root).find(failure.value.container).id == record.id
    remove_tree(trash_container(record))


def test_what_a_run_leaves_running_is_killed(yard: Yard) -> None:
    built = yard.build("FROM base\nRUN sleep 1000 & echo started\n")
    assert built.notes.text == "started\n"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("COPY missing /x", "missing: no such file"),
        ("COPY --chown=nobody-here f /x", "unable to find user nobody-here"),
        ("COPY --chmod=9x f /x", "invalid mode '9x'"),
        ("COPY f /etc", None),
        ("COPY d /etc/motd", "is not a directory"),
        ("USER nobody-here\nRUN true", "unable to find user nobody-here"),
    ],
)
def test_errors_name_file_line_and_instruction(yard: Yard, text: str, message: str | None) -> None:
    yard.write("f")
    yard.write("d/f")
    if message is None:
        yard.build(f"FROM base\n{text}\n")
        return
    line = text.count("\n") + 2
    with pytest.raises(BuildFailed, match=f"^Dockerfile:{line}: .*{message}"):
        yard.build(f"FROM base\n{text}\n")


def test_a_base_image_that_is_nowhere(yard: Yard) -> None:
    with pytest.raises(UnknownImage, match="no-such-image"):
        yard.build("FROM no-such-image\n")


def test_a_bad_tag_is_refused_before_anything_is_done(yard: Yard) -> None:
    notes = Notes()
    with pytest.raises(BadReference):
        yard.build("FROM base\nRUN true\n", notes, tags=("UPPER",))
    assert notes.steps == []


def test_all_tags_name_the_image(yard: Yard) -> None:
    image = yard.build("FROM base\nLABEL tags=two\n", tags=("tag-a", "tag-b:2")).image
    assert image.references == ("tag-a:latest", "tag-b:2")


def test_the_epoch_makes_two_builds_in_two_stores_the_same(yard: Yard, tmp_path: Path) -> None:
    from rootlay.store.store import ImageStore

    yard.write("d/f", "content\n")
    text = "FROM base\nRUN echo x > /x; mkdir /y; touch /y/z\nCOPY d /d\nWORKDIR /w\nCMD x\n"
    first = yard.build(text, epoch_s=1_700_000_000).image
    archive = tmp_path / "base.tar"
    yard.store.save(["base"], archive)
    other = Yard(ImageStore.open(tmp_path / "other"), yard.context)
    other.store.load(archive)
    (yard.context / "d/f").touch()
    second = other.build(text, epoch_s=1_700_000_000).image
    assert first.manifest_digest == second.manifest_digest
    assert first.created == "2023-11-14T22:13:20.000000Z"
