"""Decoding: formats, channels, rates, and files that are broken."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
import soundfile

from audio_model.decode import SAMPLE_RATE, decode, decode_excerpts
from data_prep.errors import InputError


def tone(duration_s: float, rate: int, hertz: float = 440.0) -> np.ndarray:
    time = np.arange(int(duration_s * rate)) / rate
    return (0.4 * np.sin(2 * np.pi * hertz * time)).astype(np.float32)


def strongest_hertz(samples: np.ndarray) -> float:
    spectrum = np.abs(np.fft.rfft(samples * np.hanning(samples.size)))
    return float(spectrum.argmax() * SAMPLE_RATE / samples.size)


def write_av(path, samples: np.ndarray, rate: int, codec: str) -> None:
    import av

    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=rate, layout="mono")
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
    # one second of each note, so that a piece tells where it comes from
    seconds = [tone(1.0, SAMPLE_RATE, 200.0 + 20 * s) for s in range(60)]
    path = tmp_path / name
    if name.endswith("flac"):
        soundfile.write(path, np.concatenate(seconds), SAMPLE_RATE)
    else:
        write_av(path, np.concatenate(seconds), SAMPLE_RATE, "aac")
    excerpts = decode_excerpts(path, length_s=2.0, at_most=5)
    assert [piece.size for piece in excerpts.pieces] == [2 * SAMPLE_RATE] * 5
    assert abs(excerpts.duration_s - 60.0) < 0.2
    for piece, start_s in zip(excerpts.pieces, np.linspace(0, 58, 5), strict=True):
        middle = piece[SAMPLE_RATE // 4 : SAMPLE_RATE // 4 + 4000]
        expected = 200 + 20 * int(start_s + 0.375)
        assert abs(strongest_hertz(middle) - expected) < 25
    assert "5 windows of 2 s" in excerpts.notes[-1]


def test_pyav_is_not_imported_for_wav(tmp_path):
    soundfile.write(tmp_path / "a.wav", tone(0.5, SAMPLE_RATE), SAMPLE_RATE)
    code = (
        "import sys\nfrom audio_model.decode import decode\n"
        f"decode({str(tmp_path / 'a.wav')!r})\nassert 'av' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
