"""Decoding: formats, channels, rates, and files that are broken."""

from __future__ import annotations

import hashlib
import subprocess
import sys

import numpy as np
import pytest
import soundfile

from audio_model import decode as decoding
from audio_model.decode import SAMPLE_RATE, decode, decode_excerpts, decode_part
from data_prep.errors import InputError


def tone(duration_s: float, rate: int, hertz: float = 440.0) -> np.ndarray:
    time = np.arange(int(duration_s * rate)) / rate
    return (0.4 * np.sin(2 * np.pi * hertz * time)).astype(np.float32)


def strongest_hertz(samples: np.ndarray, rate: int = SAMPLE_RATE) -> float:
    spectrum = np.abs(np.fft.rfft(samples * np.hanning(samples.size)))
    return float(spectrum.argmax() * rate / samples.size)


def scale(n_seconds: int, rate: int) -> np.ndarray:
    """One second of each note, so that a piece tells where it comes from."""
    return np.concatenate([tone(1.0, rate, 200.0 + 20 * s) for s in range(n_seconds)])


def second_of(samples: np.ndarray) -> float:
    """Which second of a :func:`scale` a quarter of a second at 16 kHz comes from."""
    return (strongest_hertz(samples[:4_000]) - 200.0) / 20.0


def write_scale(path, n_seconds: int, rate: int) -> None:
    if path.suffix == ".m4a":
        write_av(path, scale(n_seconds, rate), rate, "aac")
    else:
        soundfile.write(path, scale(n_seconds, rate), rate)


def write_av(path, samples: np.ndarray, rate: int, codec: str) -> None:
    import av

    with av.open(str(path), "w") as container:
        options = {"aac_coder": "fast"} if codec == "aac" else {}
        stream = container.add_stream(codec, rate=rate, layout="mono", options=options)
        stream.bit_rate = 96_000
        frame = av.AudioFrame.from_ndarray(samples[None], format="fltp", layout="mono")
        frame.sample_rate = rate
        for packet in stream.encode(frame):
            container.mux(packet)
        for packet in stream.encode(None):
            container.mux(packet)


@pytest.mark.parametrize(
    ("name", "subtype", "rate"),
    [
        ("a.wav", "PCM_U8", 16_000),
        ("a.wav", "PCM_16", 44_100),
        ("a.wav", "PCM_24", 192_000),
        ("a.wav", "FLOAT", 8_000),
        ("a.flac", "PCM_24", 96_000),
        ("a.ogg", "VORBIS", 44_100),
        ("a.opus", "OPUS", 48_000),
        ("a.mp3", "MPEG_LAYER_III", 44_100),
    ],
)
def test_formats_give_the_same_tone(tmp_path, name, subtype, rate):
    path = tmp_path / name
    kind = "OGG" if name.endswith((".ogg", ".opus")) else None
    soundfile.write(path, tone(2.0, rate), rate, subtype=subtype, format=kind)
    waveform = decode(path)
    assert waveform.sample_rate == SAMPLE_RATE
    assert waveform.samples.dtype == np.float32
    assert waveform.notes == ()
    assert abs(waveform.duration_s - 2.0) < 0.1
    assert abs(strongest_hertz(waveform.samples) - 440) < 2
    assert 0.35 < np.abs(waveform.samples[4000:-4000]).max() < 0.45


@pytest.mark.parametrize(
    ("name", "codec"),
    [("a.m4a", "aac"), ("a.aac", "aac"), ("a.webm", "libopus"), ("a.wma", "wmav2")],
)
def test_formats_of_ffmpeg(tmp_path, name, codec):
    path = tmp_path / name
    write_av(path, tone(2.0, 48_000), 48_000, codec)
    waveform = decode(path)
    assert abs(waveform.duration_s - 2.0) < 0.15
    assert abs(strongest_hertz(waveform.samples) - 440) < 2


def test_channels_are_averaged(tmp_path):
    rng = np.random.default_rng(0)
    channels = rng.uniform(-0.5, 0.5, (8_000, 7)).astype(np.float32)
    soundfile.write(tmp_path / "seven.wav", channels, SAMPLE_RATE, subtype="FLOAT")
    found = decode(tmp_path / "seven.wav").samples
    np.testing.assert_allclose(found, channels.mean(axis=1), atol=1e-6)


def test_the_name_does_not_matter(tmp_path):
    soundfile.write(tmp_path / "a.wav", tone(1.0, SAMPLE_RATE), SAMPLE_RATE)
    (tmp_path / "a.wav").rename(tmp_path / "a.mp3")
    assert abs(decode(tmp_path / "a.mp3").duration_s - 1.0) < 0.01


def test_values_that_are_not_numbers_are_silenced(tmp_path):
    samples = tone(1.0, SAMPLE_RATE)
    samples[100:110] = np.nan
    samples[200] = np.inf
    soundfile.write(tmp_path / "nan.wav", samples, SAMPLE_RATE, subtype="FLOAT")
    waveform = decode(tmp_path / "nan.wav")
    assert np.isfinite(waveform.samples).all()
    assert "11 samples" in waveform.notes[0]


def test_a_missing_file(tmp_path):
    with pytest.raises(InputError, match=r"gone\.mp3 does not exist"):
        decode(tmp_path / "gone.mp3")


def test_a_folder(tmp_path):
    with pytest.raises(InputError, match="is not a file"):
        decode(tmp_path)


def test_an_empty_file(tmp_path):
    (tmp_path / "e.mp3").touch()
    with pytest.raises(InputError, match=r"e\.mp3 is empty"):
        decode(tmp_path / "e.mp3")


def test_a_header_without_samples(tmp_path):
    soundfile.write(tmp_path / "zero.wav", np.zeros(0, dtype=np.float32), SAMPLE_RATE)
    with pytest.raises(InputError, match=r"zero\.wav has a header but no samples"):
        decode(tmp_path / "zero.wav")


@pytest.mark.parametrize("seed", range(6))
def test_binary_named_mp3(tmp_path, seed, capfd):
    path = tmp_path / "binary.mp3"
    path.write_bytes(np.random.default_rng(seed).bytes(150_000))
    with pytest.raises(InputError, match=r"binary\.mp3 holds no sound that can be decoded"):
        decode(path)
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize(
    "content", [b"plain text, no sound\n" * 500, b"ID3 is all it has", b"RIFF"]
)
def test_text_named_mp3(tmp_path, content):
    (tmp_path / "text.mp3").write_bytes(content)
    with pytest.raises(InputError, match=r"text\.mp3"):
        decode(tmp_path / "text.mp3")


@pytest.mark.parametrize("name", ["a.wav", "a.flac", "a.ogg", "a.opus", "a.mp3"])
def test_a_truncated_file_gives_what_there_is_and_says_so(tmp_path, name):
    path = tmp_path / name
    noise = np.random.default_rng(0).normal(0, 0.1, 48_000 * 10).astype(np.float32)
    subtype = {"a.opus": "OPUS", "a.ogg": "VORBIS"}.get(name)
    kind = "OGG" if subtype else None
    soundfile.write(path, noise, 48_000, subtype=subtype, format=kind)
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * 0.6)])
    waveform = decode(path)
    assert 3.0 < waveform.duration_s < 8.0
    assert any("cut off or damaged" in note for note in waveform.notes), waveform.notes


def test_excerpts_of_a_short_file_are_the_file(tmp_path):
    soundfile.write(tmp_path / "s.wav", tone(3.0, SAMPLE_RATE), SAMPLE_RATE)
    excerpts = decode_excerpts(tmp_path / "s.wav")
    assert len(excerpts.pieces) == 1
    np.testing.assert_array_equal(excerpts.pieces[0], decode(tmp_path / "s.wav").samples)


@pytest.mark.parametrize("name", ["long.flac", "long.m4a"])
def test_excerpts_of_a_long_file_are_bounded_and_in_place(tmp_path, name):
    path = tmp_path / name
    write_scale(path, 60, SAMPLE_RATE)
    excerpts = decode_excerpts(path, length_s=2.0, at_most=5)
    assert [piece.size for piece in excerpts.pieces] == [2 * SAMPLE_RATE] * 5
    assert abs(excerpts.duration_s - 60.0) < 0.2
    for piece, start_s in zip(excerpts.pieces, np.linspace(0, 58, 5), strict=True):
        assert abs(second_of(piece[SAMPLE_RATE // 4 :]) - int(start_s + 0.375)) < 1.25
    assert "5 windows of 2 s" in excerpts.notes[-1]


def test_pyav_is_not_imported_for_wav(tmp_path):
    soundfile.write(tmp_path / "a.wav", tone(0.5, SAMPLE_RATE), SAMPLE_RATE)
    code = (
        "import sys\nfrom audio_model.decode import decode\n"
        f"decode({str(tmp_path / 'a.wav')!r})\nassert 'av' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize("rate", [8_000, 22_050, 44_100])
@pytest.mark.parametrize("name", ["a.wav", "a.m4a"])
def test_any_rate_can_be_asked_for(tmp_path, name, rate):
    write_scale(tmp_path / name, 3, 44_100)
    whole = decode(tmp_path / name, sample_rate=rate)
    part = decode_part(tmp_path / name, start_s=1.0, length_s=1.0, sample_rate=rate)
    excerpts = decode_excerpts(tmp_path / name, sample_rate=rate)
    assert whole.sample_rate == part.sample_rate == excerpts.sample_rate == rate
    assert abs(whole.duration_s - 3.0) < 0.1
    assert part.samples.size == rate
    assert abs(strongest_hertz(part.samples, rate) - 220) < 3
    np.testing.assert_array_equal(excerpts.pieces[0], whole.samples)


@pytest.mark.parametrize("name", ["a.wav", "a.flac", "a.mp3", "a.ogg", "a.m4a"])
@pytest.mark.parametrize(
    ("start_s", "expected"),
    [(0.0, 0), (12.0, 12), (17.0, 17), (18.0, 17), (500.0, 17)],
    ids=lambda value: f"{value}",
)
def test_a_part_lies_where_it_should(tmp_path, name, start_s, expected):
    # a recording of 20 s that ends before the part does gives its last 3 s
    write_scale(tmp_path / name, 20, 44_100)
    part = decode_part(tmp_path / name, start_s=start_s, length_s=3.0)
    assert abs(part.duration_s - 3.0) < 0.1
    seconds = [second_of(part.samples[int((k + 0.375) * SAMPLE_RATE) :]) for k in range(3)]
    np.testing.assert_allclose(seconds, expected + np.arange(3), atol=0.2)
    assert part.notes == ()


def test_a_part_of_a_wav_is_that_part_of_the_whole(tmp_path):
    write_scale(tmp_path / "a.wav", 20, 48_000)
    part = decode_part(tmp_path / "a.wav", start_s=7.0, length_s=5.0)
    whole = decode(tmp_path / "a.wav").samples[7 * SAMPLE_RATE : 12 * SAMPLE_RATE]
    assert part.samples.size == whole.size
    # at both ends the resampling filter has zeros where the whole goes on
    np.testing.assert_allclose(part.samples[200:-200], whole[200:-200], atol=1e-5)


def test_a_part_of_a_shorter_recording_is_all_of_it(tmp_path):
    write_scale(tmp_path / "a.mp3", 2, 44_100)
    part = decode_part(tmp_path / "a.mp3", start_s=20.0, length_s=30.0)
    np.testing.assert_array_equal(part.samples, decode(tmp_path / "a.mp3").samples)


def test_a_part_of_a_file_that_promises_more_than_there_is(tmp_path):
    path = tmp_path / "a.mp3"
    write_scale(path, 20, 44_100)
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])  # its header still says 20 s
    part = decode_part(path, start_s=14.0, length_s=3.0)
    assert 2.5 < part.duration_s <= 3.0
    assert 6 < second_of(part.samples[SAMPLE_RATE // 2 :]) < 8


def test_a_part_of_a_file_whose_header_says_nothing(tmp_path):
    write_av(tmp_path / "a.aac", scale(20, 44_100), 44_100, "aac")
    part = decode_part(tmp_path / "a.aac", start_s=500.0, length_s=3.0)
    assert abs(part.duration_s - 3.0) < 0.1
    assert abs(second_of(part.samples[SAMPLE_RATE:]) - 18) < 1.2


@pytest.mark.parametrize(
    ("start_s", "length_s"), [(-1.0, 3.0), (0.0, 0.0), (float("nan"), 3.0), (0.0, float("inf"))]
)
def test_parts_that_make_no_sense(tmp_path, start_s, length_s):
    write_scale(tmp_path / "a.wav", 1, SAMPLE_RATE)
    with pytest.raises(InputError, match="a part of"):
        decode_part(tmp_path / "a.wav", start_s=start_s, length_s=length_s)


HASHES = """
import hashlib, sys
from audio_model.decode import decode, decode_excerpts, decode_part
from audio_model.log_mel import log_mel
for path in sys.argv[1:]:
    whole = decode(path).samples
    piece = decode_excerpts(path, length_s=1.0, at_most=3).pieces[1]
    part = decode_part(path, start_s=1.0, length_s=2.0).samples
    for values in (whole, piece, part, log_mel(whole)):
        print(hashlib.sha256(values.tobytes()).hexdigest())
"""


def test_the_same_file_gives_the_same_bits(tmp_path):
    rng = np.random.default_rng(0)
    sound = rng.normal(0, 0.1, (8 * 44_100, 2)).astype(np.float32)
    paths = [tmp_path / name for name in ("a.wav", "a.mp3", "a.ogg", "a.flac")]
    for path in paths:
        soundfile.write(path, sound, 44_100)
    write_av(tmp_path / "a.m4a", sound[:, 0].copy(), 44_100, "aac")
    arguments = [sys.executable, "-c", HASHES, *map(str, paths), str(tmp_path / "a.m4a")]
    first, second = (subprocess.check_output(arguments) for _ in range(2))
    assert first == second
    here = [hashlib.sha256(decode(path).samples.tobytes()).hexdigest() for path in paths]
    assert here == first.decode().split()[: 4 * len(paths) : 4]


@pytest.mark.parametrize("name", ["a.wav", "a.mp3"])
def test_the_size_of_blocks_does_not_change_a_bit(tmp_path, monkeypatch, name):
    sound = np.random.default_rng(0).normal(0, 0.1, (5 * 44_100, 2)).astype(np.float32)
    soundfile.write(tmp_path / name, sound, 44_100)
    expected = decode(tmp_path / name).samples
    monkeypatch.setattr(decoding, "_BLOCK_SAMPLES", 10_000)
    np.testing.assert_array_equal(decode(tmp_path / name).samples, expected)


@pytest.mark.parametrize(("rate", "level"), [(44_100, 0.0), (44_100, 0.99), (16_000, 0.99)])
def test_blocks_and_parts_of_an_mp3_are_those_of_the_whole(tmp_path, rate, level):
    # at low bit rates (level 0.99) a frame rests on bytes of the frames before it
    path = tmp_path / "a.mp3"
    sound = np.random.default_rng(0).normal(0, 0.2, 15 * rate).clip(-1, 1)
    soundfile.write(path, sound, rate, compression_level=level, bitrate_mode="CONSTANT")
    expected = soundfile.read(path, dtype="float32")[0]  # in one go
    np.testing.assert_allclose(decode(path, sample_rate=rate).samples, expected, atol=1e-5)
    part = decode_part(path, start_s=7.3, length_s=3.0, sample_rate=rate).samples
    start = int(7.3 * rate)
    np.testing.assert_allclose(part, expected[start : start + part.size], atol=1e-5)


def test_channels_and_rate_may_change_within_a_file(tmp_path):
    # raw aac states both in every frame
    write_av(tmp_path / "a.aac", tone(2.0, 48_000), 48_000, "aac")
    write_av(tmp_path / "b.aac", tone(2.0, 44_100), 44_100, "aac")
    both = tmp_path / "both.aac"
    both.write_bytes((tmp_path / "a.aac").read_bytes() + (tmp_path / "b.aac").read_bytes())
    samples = decode(both).samples
    assert abs(samples.size / SAMPLE_RATE - 4.0) < 0.2
    for second in (0.5, 2.5):
        start = int(second * SAMPLE_RATE)
        assert abs(strongest_hertz(samples[start : start + SAMPLE_RATE]) - 440) < 3


def test_long_text_is_not_taken_for_sound(tmp_path):
    # FFmpeg takes it for AMR and decodes half of its packets
    (tmp_path / "text.mp3").write_bytes(b"plain text, no sound\n" * 50_000)
    for read in (decode, decode_excerpts, lambda p: decode_part(p, start_s=1.0, length_s=1.0)):
        with pytest.raises(InputError, match=r"text\.mp3 holds no sound that can be decoded"):
            read(tmp_path / "text.mp3")
