"""Recordings become frames: every PCM width, labels by folder or table, and the mel bands where the tone is."""

import struct
from pathlib import Path

import numpy as np
import pytest

from api.uploads import mel
from tests.api.uploads.samples import packed, refusal, taken, tone, wav

LOW, HIGH = tone(300.0, 0.2), tone(2000.0, 0.3)


def test_folders_are_labels_and_lengths_are_kept() -> None:
    found = taken(packed({"high/a.wav": wav(HIGH), "low/b.wav": wav(LOW), "data/low/c.wav": wav(LOW)}))
    assert (found.class_names, found.y.tolist()) == (["high", "low"], [1, 0, 1])
    assert (found.facts.form, found.facts.shape, found.facts.varying_length) == ("sequence", (28, 40), True)
    assert found.lengths is not None
    assert found.lengths.tolist() == [18, 28, 18]
    assert (found.x[0, 18:] == 0).all()
    assert found.facts.format == "WAV, log_mel, 8000 Hz"


def test_the_loudest_band_is_that_of_the_tone() -> None:
    bands = [mel.log_mel(np.array(sound, np.float32), 8000).mean(axis=0).argmax() for sound in (LOW, HIGH)]
    top = 2595 * np.log10(1 + 4000 / 700)
    expected = [round(41 * 2595 * np.log10(1 + hertz / 700) / top) - 1 for hertz in (300.0, 2000.0)]
    assert bands == expected


def test_log_mel_is_what_the_formula_says_frame_by_frame() -> None:
    rate, sound = 8000, np.random.default_rng(0).normal(size=1000).astype(np.float32)
    frames = mel.log_mel(sound, rate)
    assert frames.shape == (mel.frames_in(1000, rate, "log_mel"), 40)
    window = sound[3 * 80 : 3 * 80 + 200] * np.hanning(200)
    power = np.abs(np.fft.fft(window, 256)[:129]) ** 2
    corners = 700 * (10 ** (np.linspace(0, 2595 * np.log10(1 + 4000 / 700), 42) / 2595) - 1)
    for band in (0, 7, 39):
        low, middle, high = corners[band : band + 3]
        weights = [
            max(0.0, min((f - low) / (middle - low), (high - f) / (high - middle))) for f in np.arange(129) * 31.25
        ]
        assert frames[3, band] == pytest.approx(np.log(np.dot(power, weights) + 1e-10), rel=1e-4)


@pytest.mark.parametrize("width", [1, 2, 3, 4])
def test_every_width_of_pcm_is_the_same_sound(width: int) -> None:
    sound = [*LOW[:240], *([0.0] * 240)]
    found = taken(packed({"a/1.wav": wav(sound, width=width), "b/2.wav": wav(LOW, width=width)}), features="raw")
    assert found.facts.shape == (20, 80)
    np.testing.assert_allclose(found.x[0, :6].ravel(), sound[:480], atol=1.5 / 2 ** (8 * width - 1) + 1e-6)


def test_channels_are_averaged() -> None:
    one = taken(packed({"a/1.wav": wav(LOW), "b/2.wav": wav(HIGH)}))
    two = taken(packed({"a/1.wav": wav(LOW, channels=2), "b/2.wav": wav(HIGH, channels=2)}))
    np.testing.assert_allclose(one.x, two.x, atol=1e-4)


def test_a_recording_shorter_than_a_window_is_one_frame() -> None:
    found = taken(packed({"a/1.wav": wav([0.1] * 10), "b/2.wav": wav([0.2] * 10)}))
    assert found.facts.shape == (1, 40)
    assert taken(packed({"a/1.wav": wav([0.1] * 10), "b/2.wav": wav([0.2] * 10)}), features="raw").facts.shape == (
        1,
        80,
    )


@pytest.mark.parametrize("header", ["", "file,label\n"])
def test_a_table_names_the_labels(header: str) -> None:
    table = f"{header}1.wav,no\n\n2.wav, yes\n".encode()
    found = taken(packed({"set/1.wav": wav(LOW), "set/2.wav": wav(HIGH), "set/labels.csv": table}))
    assert (found.class_names, found.y.tolist()) == (["no", "yes"], [0, 1])


def test_what_systems_leave_behind_is_passed_over() -> None:
    rest = {"__MACOSX/a/._1.wav": b"x", "a/.DS_Store": b"x"}
    assert taken(packed({"a/1.wav": wav(LOW), "b/2.wav": wav(LOW)} | rest)).facts.cases == 2


def test_the_order_in_the_zip_is_no_part_of_the_content() -> None:
    files = {"a/1.wav": wav(LOW), "b/2.wav": wav(HIGH)}
    np.testing.assert_array_equal(taken(packed(files)).x, taken(packed(dict(reversed(files.items())))).x)


def float_wav() -> bytes:
    content = bytearray(wav(LOW))
    content[20] = 3
    return bytes(content)


@pytest.mark.parametrize(
    ("members", "said"),
    [
        ({"1.wav": wav(LOW), "b/2.wav": wav(LOW)}, "1.wav: this file has no label"),
        ({"a/1.wav": wav(LOW), "b/2.wav": b"RIFFnonsense"}, "b/2.wav: this WAV cannot be read"),
        ({"a/1.wav": wav(LOW), "b/2.wav": float_wav()}, "its format is 0x0003, no PCM"),
        ({"a/1.wav": wav(LOW), "b/2.wav": wav(LOW, rate=16000)}, "16000 samples a second, and 8000 in a/1.wav"),
        ({"a/1.wav": wav(LOW, rate=100), "b/2.wav": wav(LOW)}, "sound of this rate"),
        ({"a/1.wav": wav([]), "b/2.wav": wav(LOW)}, "0 bytes of sound"),
        ({"a/1.wav": wav(LOW), "a/2.wav": wav(LOW)}, "one label"),
        ({"1.wav": wav(LOW), "2.wav": wav(LOW), "labels.csv": b"1.wav,a\n"}, "first 2.wav"),
        ({"1.wav": wav(LOW), "labels.csv": b"1.wav,a,b\n"}, "line 1 has 3 columns"),
        ({"1.wav": wav(LOW), "labels.csv": b"\xff\xfe1"}, "no CSV in UTF-8"),
    ],
)
def test_what_is_no_set_of_recordings_is_refused_with_the_reason(members: dict[str, bytes], said: str) -> None:
    assert said in refusal(422, packed(members))


def test_a_bomb_of_silence_is_a_413_before_it_is_unpacked() -> None:
    assert "unpacked it would have" in refusal(413, packed({"a/1.wav": wav([0.0] * 600_000), "b/2.wav": wav(LOW)}))


def test_padding_counts_before_it_is_made(monkeypatch: pytest.MonkeyPatch) -> None:
    # The real limit takes hundreds of megabytes to reach.
    monkeypatch.setattr("api.uploads.parts.MOST_NUMBERS", 2_500)
    short = {f"a/{number}.wav": wav(LOW[:200]) for number in range(4)}
    assert taken(packed(short | {"b/1.wav": wav(LOW[:400])})).facts.cases == 5
    assert "each padded to 18 steps" in refusal(413, packed(short | {"b/1.wav": wav(LOW)}))


def test_names_that_point_elsewhere_write_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    found = taken(packed({"../a/1.wav": wav(LOW), "/tmp/b/2.wav": wav(HIGH)}))
    assert found.class_names == ["a", "b"]
    assert list(tmp_path.iterdir()) == []
    assert list(tmp_path.parent.glob("a")) == []


def described(bits: int, width: int, tag: int = 1, channels: int = 1, *, extensible: bool = False) -> bytes:
    """A WAV of 4,000 bytes of sound whose header says this of it; ``width`` in bytes."""
    kind = struct.pack("<HHIIHH", tag, channels, 8000, 8000 * width * channels, width * channels, bits)
    if extensible:
        kind += struct.pack("<HHIH", 22, bits, 0, 1) + bytes.fromhex("000000001000800000aa00389b71")
    body = b"WAVEfmt " + struct.pack("<I", len(kind)) + kind + b"data" + struct.pack("<I", 3_840) + bytes(3_840)
    return b"RIFF" + struct.pack("<I", len(body)) + body


def both(content: bytes) -> bytes:
    return packed({"a/1.wav": content, "b/2.wav": content})


@pytest.mark.parametrize("bits", [0, 1, 12, 20, 40, 48, 56, 64, 128, 65_535])
def test_other_widths_are_refused(bits: int) -> None:
    assert "samples of so many bits" in refusal(422, both(described(bits, min(8_000, (bits + 7) // 8))))


@pytest.mark.parametrize("width", [1, 2, 3, 4])
def test_the_extensible_form_of_pcm_is_taken(width: int) -> None:
    plain, extended = (described(8 * width, width, tag, extensible=tag > 1) for tag in (1, 0xFFFE))
    np.testing.assert_array_equal(taken(both(plain)).x, taken(both(extended)).x)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (described(8, 1, tag=7), "format is 0x0007"),
        (described(16, 2, tag=0xFFFE), "format is 0xFFFE"),
        (described(16, 2, channels=0), "so many channels"),
        (described(16, 2, channels=9), "so many channels"),
        (described(16, 4), "take 2 bytes, and it says 4"),
        (described(16, 2).replace(b"RIFF", b"RIFX"), "big-endian"),
        (described(16, 2).replace(b"\x40\x1f\0\0", bytes(4)), "sound of this rate"),
        (described(16, 2).replace(struct.pack("<I", 3_840), struct.pack("<I", 3_839)), "no whole number"),
        (described(16, 2)[:-1], "announces 3,840 bytes of sound, and 3,839 follow"),
        (wav(LOW).replace(b"data", b"LIST"), "there is no sound in it"),
    ],
)
def test_a_header_that_cannot_be_is_refused(content: bytes, said: str) -> None:
    assert said in refusal(422, both(content))


@pytest.mark.parametrize("size", [3_202, 2**31, 2**32 - 2])
def test_sound_that_is_only_announced_is_refused(size: int) -> None:
    content = bytearray(wav(LOW))
    content[40:44] = size.to_bytes(4, "little")
    assert f"announces {size:,} bytes of sound, and 3,200 follow" in refusal(422, both(bytes(content)), features="raw")


def test_other_chunks_are_passed_over() -> None:
    whole = wav(LOW)
    noted = whole[:36] + b"LIST\x03\0\0\0abc\0" + whole[36:] + b"id3 \x01\0\0\0a\0"
    np.testing.assert_array_equal(taken(both(noted)).x, taken(both(whole)).x)


@pytest.mark.parametrize("features", ["log_mel", "raw"])
def test_a_long_recording_is_the_same_in_stretches(features: str) -> None:
    sound = np.random.default_rng(0).normal(size=50_000).astype(np.float32)
    made = mel.log_mel if features == "log_mel" else mel.raw_frames
    out = np.empty((mel.frames_in(len(sound), 8000, features), mel.width_of(8000, features)), np.float32)
    mel.fill(out, np.split(sound, [100, 150, 30_000, 30_001]), 8000, features)
    np.testing.assert_allclose(out, made(sound, 8000), rtol=1e-6)
