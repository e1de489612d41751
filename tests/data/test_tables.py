"""A CSV of path,label and Hugging Face's "imagefolder"; and what is said of something that is no data set."""

import json
import os
import sys

import numpy as np
import pytest
from PIL import Image
from tests_support import refused

import augmentgan as ag
from augmentgan.data import tables
from augmentgan.data.plan import plan_fit
from augmentgan.data.split import join_test
from augmentgan.errors import DataError


def csv(tree, *rows, header="path,label", name="table.csv"):
    path = tree / name
    path.write_text("\n".join([header, *rows]) + "\n", encoding="utf-8")
    return path


def rows_of(tree, *columns):
    """A row for each file of the tree, with the given further columns."""
    files = sorted(tree.glob("class_*/*.png"))
    return [",".join([f"{file.parent.name}/{file.name}", file.parent.name, *columns]) for file in files]


def jsonl(folder, *records):
    path = folder / "metadata.jsonl"
    path.write_text("".join(json.dumps(record) + "\n" for record in records), encoding="utf-8")
    return path


def records_of(folder):
    return [
        {"file_name": file.relative_to(folder).as_posix(), "label": file.parent.name, "text": "a picture"}
        for file in sorted(folder.glob("**/*.png"))
    ]


def test_a_csv_of_the_same_files_is_the_same_set(tree):
    assert ag.load(csv(tree, *rows_of(tree))).fingerprint() == ag.load(tree).fingerprint()
    found = ag.inspect(tree / "table.csv")
    assert (found.kind, found.counts) == ("table", {f"class_{label}": 6 for label in range(3)})


@pytest.mark.parametrize("spelling", ["semicolons", "tabs", "BOM and CRLF", "backslashes", "file_name"])
def test_csv_as_spreadsheets_write_it(tree, spelling):
    path = csv(tree, *rows_of(tree))
    change = {
        "semicolons": lambda text: text.replace(",", ";"),
        "tabs": lambda text: text.replace(",", "\t"),
        "BOM and CRLF": lambda text: "\ufeff" + text.replace("\n", "\r\n"),
        "backslashes": lambda text: text.replace("/", "\\"),
        "file_name": lambda text: text.replace("path", "file_name", 1),
    }[spelling]
    path.write_bytes(change(path.read_text()).encode())
    assert ag.load(path).fingerprint() == ag.load(tree).fingerprint()


def test_split_and_group_of_a_csv_are_honoured(tree):
    words = ["train", "val", "test"] * 6
    rows = [f"{row},{word},{number // 2}" for number, (row, word) in enumerate(zip(rows_of(tree), words, strict=True))]
    rows[0] = rows[0].rsplit(",", 1)[0] + ","  # without a group: on its own
    data = ag.load(csv(tree, *rows, header="path,label,split,group"))
    assert data.split.tolist() == [0, 0, 1] * 6
    assert data.group.tolist()[1:6] == [0, 1, 1, 2, 2]
    assert data.group[0] not in data.group[1:]
    assert sum(ag.inspect(tree / "table.csv").test_counts.values()) == 6


def test_labels_that_are_numbers_stand_in_the_order_of_numbers(tree):
    rows = [f"{row.split(',')[0]},{number}" for number, row in enumerate(rows_of(tree)[:12])]
    assert ag.load(csv(tree, *rows)).class_names == tuple(str(number) for number in range(12))


def test_column_names_may_be_written_freely(tree):
    path = tree / "by_hand.csv"
    path.write_text("Path, Label\n" + "".join(f"{row}\n" for row in rows_of(tree)))
    assert len(ag.load(path)) == 18


def test_a_file_that_is_missing_is_a_bad_file(tree):
    path = csv(tree, *rows_of(tree), "class_0/gone.png,class_0")
    refused(path, "gone.png", "does not exist", "--skip-bad")
    assert len(ag.load(path, skip_bad=True)) == 18
    assert list(ag.inspect(path).bad) == [os.path.join("class_0", "gone.png")]


@pytest.mark.parametrize("suffix", [".png", ".JPG", None])
@pytest.mark.parametrize("kind", ["table", "imagefolder"])
def test_a_table_of_image_ids(tree, kind, suffix):
    for k, file in enumerate(sorted(tree.glob("class_*/*.png"))):
        file.rename(tree / (f"ISIC_{k:03}{suffix}" if suffix else f"another_{k}.png"))
    rows = [f"ISIC_{k:03},{'ab'[k % 2]}" for k in range(18)]
    path = csv(tree, *rows, header="file_name,label", name="metadata.csv" if kind == "imagefolder" else "table.csv")
    hint = f"did you mean 'ISIC_000{suffix}'? add the suffix" if suffix else "names count from the table's folder"
    where = tree if kind == "imagefolder" else path
    refused(where, f"table {str(path)!r} names 18 files, none of which exists (first: 'ISIC_000'); {hint}")
    with pytest.raises(DataError, match="none of which exists"):
        ag.inspect(where)


@pytest.mark.parametrize("way_out", ["../secret.png", "class_0/../../secret.png", "link.png", "{absolute}"])
def test_files_outside_the_folder_of_the_table(tree, way_out):
    secret = tree.parent / "secret.png"
    Image.new("L", (8, 8)).save(secret)
    (tree / "link.png").symlink_to(secret)
    path = csv(tree, *rows_of(tree), f"{way_out.format(absolute=secret)},class_0")
    refused(path, "secret.png" if "link" not in way_out else "link.png", "the folder")


@pytest.mark.parametrize("name", ["//host/share/x.png", "\\\\host\\share\\x.png"])
def test_another_machine_is_not_asked(tree, monkeypatch, name):
    monkeypatch.setattr(tables, "refuse_leaving", lambda *_: pytest.fail("it was looked up"))
    refused(csv(tree, f"{name},class_0"), "line 2", "names another machine")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("", ["names no image"]),
        ("path,label\n", ["names no image"]),
        ("a.png,cat\nb.png,dog\n", ["line 2", "no path or no label", "call the columns path and label"]),
        ("path,label\na.png\n", ["line 2", "2 columns"]),
        ("path,label\na.png,cat,dog\n", ["line 2", "2 columns"]),
        ("path,label\na.png,\n", ["line 2", "label is ''"]),
        ("path,label\n ,cat\n", ["line 2", "path is"]),
        ("path,label,split\na.png,cat,maybe\n", ["line 2", "'maybe'", "train, val and test"]),
        ('path,label\n"a.png,cat\n' + "x" * 200_000, ["not CSV", "field"]),
        (b"path,label\na.png,caf\xe9\n", ["not UTF-8"]),
        ("path,label\na\0.png,cat\n", ["table.csv"]),
        ("path,label\n.,cat\n", ["not a regular file"]),
    ],
)
def test_tables_that_make_no_sense(tmp_path, content, words):
    path = tmp_path / "table.csv"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    refused(path, str(path.name) if "regular" not in words[0] else str(tmp_path), *words)


def test_imagefolder_with_metadata(tree):
    flat = tree.parent / "flat"
    flat.mkdir()
    records = records_of(tree)
    for number, record in enumerate(records):
        (tree / record["file_name"]).rename(flat / f"{number:02}.png")
        record["file_name"] = f"{number:02}.png"
    jsonl(flat, *records[:-1])
    notices = []
    data = ag.load(flat, on_notice=notices.append)
    assert data.counts.tolist() == [6, 6, 5]
    assert data.class_names == ("class_0", "class_1", "class_2")
    assert notices == ["1 files that belong to no class ignored; the first: '17.png'"]
    assert ag.load(flat / "metadata.jsonl").fingerprint() == data.fingerprint()
    found = ag.inspect(flat)
    assert (found.kind, found.n_loose) == ("imagefolder", 1)


def test_imagefolder_with_train_and_test(tree):
    for part, names in {"train": ["class_0", "class_1"], "test": ["class_2"]}.items():
        (tree / part).mkdir()
        for name in names:
            (tree / name).rename(tree / part / name)
        rows = [f"{record['file_name']},{record['label'].replace('2', '1')}" for record in records_of(tree / part)]
        csv(tree / part, *rows, header="file_name,label", name="metadata.csv")
    data = ag.load(tree)
    assert data.class_names == ("class_0", "class_1")  # the metadata's, not the folders'
    assert data.split.tolist() == [1] * 6 + [0] * 12
    assert data.part(1).counts.tolist() == [0, 6]


def test_metadata_without_labels_leaves_the_class_folders(tree):
    before = ag.load(tree).fingerprint()
    jsonl(tree, *({"file_name": record["file_name"], "text": "x"} for record in records_of(tree)))
    assert ag.inspect(tree).kind == "folder"
    assert ag.load(tree).fingerprint() == before


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("metadata.csv", b"id,caf\xe9\n1,2\n"),
        ("metadata.csv", b"# made on Monday\nfile,camera,place\na.png,1,\n"),
        ("metadata.csv", b"file_name,labels\na.png\n"),
        ("metadata.jsonl", b"no JSON\n"),
    ],
)
def test_metadata_of_another_program_lies_beside_the_class_folders(tree, name, content):
    before = ag.load(tree).fingerprint()
    (tree / name).write_bytes(content)
    told = []
    assert ag.load(tree, on_notice=told.append).fingerprint() == before
    assert told == [f"1 files that belong to no class ignored; the first: {name!r}"]


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("metadata.csv", b"file_name,label\na.png,caf\xe9\n", ["not UTF-8"]),
        ("metadata.csv", b"\n File_Name;Label\na.png\n", ["line 2"]),
        ("metadata.jsonl", b'{"file_name": "a.png", "label": 1\n', ["line 1", "not JSON"]),
    ],
)
def test_metadata_that_would_have_labels_is_not_passed_over(tree, name, content, words):
    (tree / name).write_bytes(content)
    refused(tree, name, *words)


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("{", ["line 2", "not JSON"]),
        ("[1]", ["line 2", "one object a line"]),
        ("[" * 100_000, ["line 2", "not JSON"]),
        ('{"file_name": 7, "label": "a"}', ["line 2", "file_name is 7"]),
        ('{"file_name": "class_0/0.png", "label": 1.5}', ["line 2", "label is 1.5", "whole number"]),
        ('{"file_name": "class_0/0.png", "label": true}', ["label is True"]),
        ('{"file_name": "class_0/0.png", "label": null}', ["label is None"]),
        ('{"file_name": "class_0/0.png", "label": "\\ud800"}', ["label is"]),
        ('{"file_name": "\\ud800.png", "label": "a"}', ["file_name is"]),
        ('{"file_name": "class_0/0.png"}', ["no path or no label"]),
        ('{"file_name": "../0.png", "label": "a"}', ["lies outside the folder"]),
    ],
)
def test_metadata_that_makes_no_sense(tree, line, words):
    path = jsonl(tree, records_of(tree)[0])
    path.write_text(path.read_text() + line + "\n")
    refused(tree, *words)


@pytest.mark.parametrize("without", [0, 3])
@pytest.mark.parametrize("kind", ["imagefolder", "table"])
def test_a_split_for_some_lines_alone_is_refused(tree, without, kind):
    # marks would slide along the lines, and test images be learned from
    records = [{**record, "split": ("train", "test")[k % 2]} for k, record in enumerate(records_of(tree))]
    path = jsonl(tree, *records)
    assert ag.load(tree).split.tolist() == [0, 1] * 9
    del records[without]["split"]
    jsonl(tree, *records, {"file_name": "gone.png", "label": "class_0", "split": "train"})
    where = tree if kind == "imagefolder" else path.rename(tree / "mine.jsonl")
    for skip_bad in (False, True):
        with pytest.raises(DataError, match=f"line {without + 1} has no split, as other lines have; give every line"):
            ag.load(where, skip_bad=skip_bad)


def test_a_group_whose_name_is_no_text(tree):
    records = [{**record, "group": "\ud800"} for record in records_of(tree)]
    del records[1]["group"]
    jsonl(tree, *records)
    group = ag.load(tree).group
    assert len({*group.tolist()}) == 2
    assert group[1] not in np.delete(group, 1)


@pytest.mark.skipif(sys.platform != "linux", reason="other systems name no file so")
def test_groups_in_a_folder_whose_name_is_no_text(tree):
    jsonl(tree, *[{**record, "group": ""} for record in records_of(tree)])
    strange = tree.rename(tree.with_name(os.fsdecode(b"caf\xe9")))
    assert len({*ag.load(strange).group.tolist()}) == 18


def test_numbers_that_no_machine_holds(tree):
    digits = "9" * 5000
    path = csv(tree, *rows_of(tree), f"class_0/0.png,{digits}")
    assert ag.load(path).class_names[0] == digits
    refused(jsonl(tree, {"file_name": "class_0/0.png", "label": "a"}).rename(tree / "x.txt"), "looked for")


# what is said of something that is no data set


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("photo.png", ["one image", "class folders"]),
        ("set.zip", ["archive: unpack it"]),
        ("set.pkl", ["nothing is ever unpickled"]),
        ("set.npy", ["numpy.savez"]),
        ("set.parquet", ["convert it"]),
    ],
)
def test_a_file_of_no_known_kind(tmp_path, name, words):
    (tmp_path / name).write_bytes(b"PK\x03\x04")
    refused(tmp_path / name, name, "looked for HDF5", ".npz", "path,label", "IDX", *words)


def test_a_folder_of_no_known_kind(tmp_path):
    refused(tmp_path, "nothing", "looked for one folder a class, train/ and test/", "metadata.jsonl", "IDX")
    (tmp_path / "data.h5").touch()
    refused(tmp_path, "1 loose files", f"did you mean {str(tmp_path / 'data.h5')!r}?")
    (tmp_path / "run.json").touch()
    refused(tmp_path, "is a run", "--from-run")


def test_another_programs_run_json_makes_no_run_of_a_data_set(tree):
    before = ag.load(tree).fingerprint()
    (tree / "run.json").write_text('{"run": 1}')
    assert ag.load(tree).fingerprint() == before


def test_fit_takes_every_kind(tree, tmp_path, small_recipe):
    from augmentgan.data.plan import plan_fit

    images, labels = ag.load(tree).images, ag.load(tree).labels
    np.savez(tmp_path / "a.npz", images=images, labels=labels)
    plans = [plan_fit(ag.load(path), small_recipe) for path in (tree, csv(tree, *rows_of(tree)), tmp_path / "a.npz")]
    assert len({plan.data.images.tobytes() for plan in plans}) == 1


def test_a_table_as_pandas_writes_it(tree):
    files = {kind: sorted((tree / kind).iterdir()) for kind in ("class_0", "class_1")}
    rows = [f"{k},{files[f'class_{k % 2}'][k // 2].relative_to(tree)},{k % 2}" for k in range(6)]
    (tree / "table.csv").write_text("\n".join([",path,label", *rows]) + "\n")
    assert ag.load(tree / "table.csv").counts.tolist() == [3, 3]


def test_a_group_is_the_same_in_two_tables(tree):
    files = [file.relative_to(tree) for kind in ("class_0", "class_1") for file in sorted((tree / kind).iterdir())]
    for name, groups in (("one", ["ann", "bob", "17", ""]), ("other", ["bob", "cy", "17", ""])):
        rows = [f"{file},{file.parent},{groups[k % 4]}" for k, file in enumerate(files)]
        (tree / f"{name}.csv").write_text("\n".join(["path,label,group", *rows]) + "\n")
    one, other = ag.load(tree / "one.csv").group, ag.load(tree / "other.csv").group
    assert one[1] == other[0]
    assert one[2] == other[2] == 17
    assert one[0] not in other
    assert len(set(one[3::4].tolist())) == 3


def test_training_and_validation_with_metadata(tree, tmp_path):
    for part, kind in (("train", "class_0"), ("validation", "class_1")):
        folder = tmp_path / "set" / part
        folder.mkdir(parents=True)
        lines = []
        for number, file in enumerate(sorted((tree / kind).iterdir())):
            file.rename(folder / file.name)
            lines.append(json.dumps({"file_name": file.name, "label": "ab"[number % 2]}))
        (folder / "metadata.jsonl").write_text("\n".join(lines))
    data = ag.load(tmp_path / "set")
    assert (data.class_names, data.counts.tolist(), data.split) == (("a", "b"), [6, 6], None)


def test_spaces_around_a_name_are_kept_where_they_are_meant(tree):
    """A folder that we wrote ourselves may have them."""
    data = ag.load(tree)
    spaced = ag.LabelledImages(data.images, data.labels, (" cat", "dog ", *data.class_names[2:]))
    ag.save(spaced, tree / "written")
    assert ag.load(tree / "written").fingerprint() == spaced.fingerprint()


def test_two_columns_of_one_name(tree):
    refused(csv(tree, *rows_of(tree, "b"), header="path,label,Label"), "two columns 'label'", "keep one")


@pytest.mark.parametrize("suffix", [".csv", ".jsonl"])
def test_a_set_of_test_images_alone_is_not_learned_from(tree, suffix):
    records = [{**record, "split": "test"} for record in records_of(tree)]
    path = jsonl(tree, *records).rename(tree / "t.jsonl")
    if suffix == ".csv":
        path = csv(tree, *(f"{each['file_name']},{each['label']},test" for each in records), header="path,label,split")
    data = ag.load(path)
    assert data.split.tolist() == [1] * 18
    with pytest.raises(DataError, match="every image is marked as a test image"):
        plan_fit(data)
    assert join_test(ag.load(tree), data).split.tolist() == [0] * 18 + [1] * 18  # as --test takes it


def moved(tree, *parts):
    """The tree's images as PART/NUMBER.png, dealt to the parts in turn; (path below the tree, label) of each."""
    found = []
    for number, file in enumerate(sorted(tree.glob("class_*/*.png"))):
        target = tree / parts[number % len(parts)] / f"{number}.png"
        target.parent.mkdir(parents=True, exist_ok=True)
        found.append((target.relative_to(tree).as_posix(), file.parent.name))
        file.rename(target)
    return found


@pytest.mark.parametrize(
    "parts", [("train", "test"), ("./Train", "images/../val", "testing"), ("set/train", "set/test")]
)
@pytest.mark.parametrize("kind", ["csv", "jsonl", "imagefolder, csv", "imagefolder, jsonl"])
def test_a_split_that_stands_in_paths(tree, parts, kind):
    (tree / "images").mkdir()
    rows = moved(tree, *parts)
    if kind.endswith("csv"):
        name = "metadata.csv" if "," in kind else "table.csv"
        path = csv(tree, *map(",".join, rows), header="file_name,label", name=name)
    else:
        path = jsonl(tree, *({"file_name": name, "label": label} for name, label in rows))
    path = tree if "," in kind else path.rename(tree / f"table{path.suffix}")
    assert ag.load(path).split.tolist() == [int(k % len(parts) == len(parts) - 1) for k in range(18)]
    assert ag.inspect(path).kind == ("imagefolder" if "," in kind else "table")


def test_a_split_that_stands_in_absolute_paths(tree):
    rows = [f"{tree / name},{label}" for name, label in moved(tree, "train", "test")]
    assert ag.load(csv(tree, *rows)).split.tolist() == [0, 1] * 9


def test_a_split_column_comes_before_what_stands_in_paths(tree):
    rows = [f"{name},{label},train" for name, label in moved(tree, "train", "test")]
    assert ag.load(csv(tree, *rows, header="path,label,split")).split is None


@pytest.mark.parametrize("parts", [("train", "test", "more"), ("train", "training"), ("test", "test")])
def test_folders_that_are_no_split_of_the_whole_table(tree, parts):
    assert ag.load(csv(tree, *map(",".join, moved(tree, *parts)))).split is None


def test_classes_of_a_table_may_be_called_train_and_test(tree):
    rows = [f"{name},{name.split('/')[0]}" for name, _ in moved(tree, "train", "test")]
    data = ag.load(csv(tree, *rows))
    assert (data.class_names, data.split) == (("test", "train"), None)
