"""Recordings as they turn up: the right answer, or a message that says what is wrong."""

from __future__ import annotations

import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
import soxr

from audio_model.predictor import AudioPredictor
from data_prep.errors import InputError

RATE = 16_000
DSD_RATE = 2_822_400


@pytest.fixture(scope="module")
def predictor() -> AudioPredictor:
    return AudioPredictor.load()


def music(duration_s: float, rate: int = RATE) -> np.ndarray:
    """Plucked chords over soft noise."""
    time_s = np.arange(int(duration_s * RATE)) / RATE
    chord = sum(np.sin(2 * np.pi * f * time_s) for f in (220.0, 277.2, 329.6))
    hiss = np.random.default_rng(0).normal(0, 3e-3, time_s.size)
    samples = (chord * np.exp(-4 * (time_s % 0.5)) * 0.2 + hiss).astype(np.float32)
    return samples if rate == RATE else soxr.resample(samples, RATE, rate)


@pytest.fixture(scope="module")
def clean(predictor) -> np.ndarray:
    """The answer to the plain music."""
    distribution = predictor.read_waveform(music(12.0), RATE).distribution
    assert distribution is not None
    return distribution


def assert_close(reading, clean: np.ndarray, within: float) -> None:
    assert reading.distribution is not None, reading.reason
    assert reading.distribution.argmax() == clean.argmax()
    assert np.abs(reading.distribution - clean).max() < within


@pytest.mark.parametrize(
    ("subtype", "within"),
    [
        ("PCM_16", 0.005),
        ("PCM_24", 0.005),
        ("PCM_32", 0.005),
        ("FLOAT", 0.005),
        ("DOUBLE", 0.005),
        ("PCM_U8", 0.1),
        ("ULAW", 0.2),
        ("ALAW", 0.2),
        ("IMA_ADPCM", 0.2),
    ],
)
def test_kinds_of_samples(predictor, clean, tmp_path, subtype, within):
    soundfile.write(tmp_path / "a.wav", music(12.0), RATE, subtype=subtype)
    reading = predictor.read_file(tmp_path / "a.wav")
    assert_close(reading, clean, within)
    assert reading.notes == ()


@pytest.mark.parametrize("rate", [32_000, 44_100, 96_000, 192_000])
def test_rates(predictor, clean, tmp_path, rate):
    soundfile.write(tmp_path / "a.wav", music(12.0, rate), rate, subtype="PCM_24")
    assert_close(predictor.read_file(tmp_path / "a.wav"), clean, 0.05)


def test_seven_channels(predictor, clean, tmp_path):
    channels = np.outer(music(12.0), [1.0, 0.5, 0.2, 0.8, 0.0, 0.3, 0.1])
    soundfile.write(tmp_path / "a.wav", channels, RATE, subtype="PCM_24")
    assert_close(predictor.read_file(tmp_path / "a.wav"), clean, 0.005)


def test_floats_beyond_full_scale(predictor, clean, tmp_path):
    soundfile.write(tmp_path / "a.wav", music(12.0) * 32_767.0, RATE, subtype="FLOAT")
    assert_close(predictor.read_file(tmp_path / "a.wav"), clean, 0.005)


@pytest.mark.filterwarnings("error")
def test_values_that_are_not_numbers(predictor, clean, tmp_path):
    stereo = np.stack([music(12.0), music(12.0)], axis=1)
    stereo[100_000:100_010] = np.nan
    stereo[120_000] = np.inf, -np.inf
    stereo[130_000] = 3e38, 3e38
    soundfile.write(tmp_path / "a.wav", stereo, RATE, subtype="FLOAT")
    reading = predictor.read_file(tmp_path / "a.wav")
    assert_close(reading, clean, 0.1)
    assert reading.notes == ("12 samples were not numbers and were read as silence",)


def test_no_numbers_at_all(predictor, tmp_path):
    soundfile.write(tmp_path / "a.wav", np.full(RATE, np.nan), RATE, subtype="FLOAT")
    reading = predictor.read_file(tmp_path / "a.wav")
    assert reading.distribution is None
    assert reading.reason == "the recording is silent"


def one_bit(samples: np.ndarray) -> np.ndarray:
    """Bits (n * 176,) of a sigma-delta modulator of first order; DSD plays them 0.2% too fast."""
    steps = np.repeat((samples.astype(np.float64) + 1.0) / 2.0, 176)
    return np.diff(np.floor(np.cumsum(steps)), prepend=0.0).astype(np.uint8)


def write_dsf(path: Path, bits: np.ndarray) -> None:
    """DSD stream file, one channel: blocks of 4,096 bytes, first bit lowest."""
    data = np.packbits(bits, bitorder="little").tobytes()
    data += b"\x69" * (-len(data) % 4_096)
    layout = struct.pack("<QIIIIIIQII", 52, 1, 0, 1, 1, DSD_RATE, 1, bits.size, 4_096, 0)
    body = b"fmt " + layout + b"data" + struct.pack("<Q", 12 + len(data)) + data
    path.write_bytes(b"DSD " + struct.pack("<QQQ", 28, 28 + len(body), 0) + body)


def write_dff(path: Path, bits: np.ndarray) -> None:
    """DSDIFF, one channel: first bit highest."""

    def chunk(name: bytes, content: bytes) -> bytes:
        return name + struct.pack(">Q", len(content)) + content + b"\0" * (len(content) % 2)

    properties = (
        b"SND "
        + chunk(b"FS  ", struct.pack(">I", DSD_RATE))
        + chunk(b"CHNL", struct.pack(">H", 1) + b"C   ")
        + chunk(b"CMPR", b"DSD \x0enot compressed\0")
    )
    body = (
        chunk(b"FVER", struct.pack(">I", 0x01050000))
        + chunk(b"PROP", properties)
        + chunk(b"DSD ", np.packbits(bits).tobytes())
    )
    path.write_bytes(b"FRM8" + struct.pack(">Q", 4 + len(body)) + b"DSD " + body)


@pytest.mark.parametrize(("name", "write"), [("a.dsf", write_dsf), ("a.dff", write_dff)])
def test_one_bit_recordings(predictor, clean, tmp_path, name, write):
    write(tmp_path / name, one_bit(music(4.0)))
    reading = predictor.read_file(tmp_path / name)
    assert reading.duration_s == pytest.approx(4.0, abs=0.1)
    assert_close(reading, clean, 0.1)


def wav(samples: np.ndarray, **stated: int) -> bytes:
    """A 16-bit mono wav file whose header may state something else."""
    data = (samples * 32_767).astype("<i2").tobytes()
    header = {
        "riff_bytes": 36 + len(data),
        "kind": 1,
        "channels": 1,
        "rate": RATE,
        "bits": 16,
        "data_bytes": len(data),
    } | stated
    layout = struct.pack(
        "<HHIIHH", header["kind"], header["channels"], header["rate"], 2 * RATE, 2, header["bits"]
    )
    riff, rest = (struct.pack("<I", header[key]) for key in ("riff_bytes", "data_bytes"))
    return b"RIFF" + riff + b"WAVEfmt " + struct.pack("<I", 16) + layout + b"data" + rest + data


@pytest.mark.parametrize(
    ("stated", "note"),
    [
        ({"data_bytes": 0}, None),
        ({"data_bytes": 0, "riff_bytes": 0}, None),
        ({"data_bytes": 0xFFFFFFFF, "riff_bytes": 0xFFFFFFFF}, None),
        ({"data_bytes": 0x7FFFFFFF}, None),
        ({"data_bytes": 2_000_000, "riff_bytes": 2_000_036}, "only its first 0:12"),
    ],
)
def test_a_wav_whose_header_states_a_wrong_length(predictor, clean, tmp_path, stated, note):
    (tmp_path / "a.wav").write_bytes(wav(music(12.0), **stated))
    reading = predictor.read_file(tmp_path / "a.wav")
    assert reading.duration_s == pytest.approx(12.0, abs=0.05)
    assert_close(reading, clean, 0.005)
    if note is None:
        assert reading.notes == ()
    else:
        assert note in reading.notes[0]


@pytest.mark.parametrize(
    ("stated", "match"),
    [
        ({"bits": 1}, r"a\.wav holds no sound .*its header states PCM of 1 bits"),
        ({"bits": 0}, r"a\.wav holds no sound .*its header states PCM of 0 bits"),
        ({"kind": 0x1234}, r"a\.wav holds no sound .*unknown format"),
        ({"channels": 0}, r"a\.wav holds no sound"),
        ({"channels": 60_000}, r"a\.wav holds no sound"),
        ({"rate": 0}, r"a\.wav holds no sound"),
        ({"rate": 10}, r"a\.wav states a sample rate of 10 Hz: its header is damaged"),
        ({"rate": 10**9}, r"a\.wav states a sample rate of 1000000000 Hz"),
    ],
)
def test_a_wav_whose_header_makes_no_sense(predictor, tmp_path, stated, match):
    (tmp_path / "a.wav").write_bytes(wav(music(2.0), **stated))
    with pytest.raises(InputError, match=match):
        predictor.read_file(tmp_path / "a.wav")


@pytest.mark.parametrize("n_damaged", [200, 2_000, 20_000])
def test_an_mp3_with_damage_in_the_middle(predictor, clean, tmp_path, n_damaged):
    soundfile.write(tmp_path / "a.mp3", music(20.0, 44_100), 44_100)
    content = bytearray((tmp_path / "a.mp3").read_bytes())
    middle = len(content) // 2
    noise = np.random.default_rng(n_damaged).bytes(n_damaged)
    content[middle : middle + n_damaged] = noise
    (tmp_path / "a.mp3").write_bytes(content)
    reading = predictor.read_file(tmp_path / "a.mp3")
    lost_s = 20.0 * n_damaged / len(content)
    assert reading.duration_s > 19.5 - lost_s, "what lies behind the damage is heard as well"
    assert_close(reading, clean, 0.2)
    if n_damaged >= 2_000:
        assert "a part of it could not be decoded" in reading.notes[0]


def test_clipped_noise(predictor, tmp_path):
    noise = np.clip(np.random.default_rng(0).normal(0, 5, 8 * RATE), -1, 1)
    soundfile.write(tmp_path / "a.wav", noise, RATE)
    reading = predictor.read_file(tmp_path / "a.wav")
    assert reading.distribution is not None
    assert np.isfinite(reading.distribution).all()
    assert reading.distribution.sum() == pytest.approx(1.0, abs=1e-5)


def test_silence_in_a_file(predictor, tmp_path):
    soundfile.write(tmp_path / "a.mp3", np.zeros((44_100 * 5, 2)), 44_100)
    reading = predictor.read_file(tmp_path / "a.mp3")
    assert reading.distribution is None
    assert reading.reason == "the recording is silent"


def test_one_second(predictor, tmp_path):
    soundfile.write(tmp_path / "a.mp3", music(1.0, 44_100), 44_100)
    reading = predictor.read_file(tmp_path / "a.mp3")
    assert reading.distribution is not None
    assert reading.notes == ("only 1.0 s of sound: the answer is uncertain",)


def test_a_fifth_of_a_second(predictor, tmp_path):
    soundfile.write(tmp_path / "a.wav", music(0.2), RATE)
    reading = predictor.read_file(tmp_path / "a.wav")
    assert reading.distribution is None
    assert reading.reason == "the recording is too short: 0.20 s, at least 0.5 s"


# the peak since the process began; ru_maxrss would count the test's own memory before the exec
TEN_HOURS = """
import re, sys
from pathlib import Path
from audio_model.predictor import AudioPredictor
reading = AudioPredictor.load().read_file(sys.argv[1])
peak = re.search(r"VmHWM:\\s*(\\d+) kB", Path("/proc/self/status").read_text())
print(reading.duration_s, len(reading.windows), int(peak[1]) / 1024)
print(reading.notes[-1])
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="memory is read from /proc")
def test_ten_hours_in_bounded_memory(tmp_path):
    # silence is not written: the file has holes where it is
    path, rate, hours = tmp_path / "long.wav", 8_000, 10
    n_bytes = hours * 3_600 * rate * 2
    minute = (music(60.0, rate) * 32_767).astype("<i2").tobytes()
    with path.open("wb") as file:
        layout = struct.pack("<IHHIIHH", 16, 1, 1, rate, 2 * rate, 2, 16)
        file.write(b"RIFF" + struct.pack("<I", 36 + n_bytes) + b"WAVEfmt " + layout)
        file.write(b"data" + struct.pack("<I", n_bytes))
        file.truncate(44 + n_bytes)
        for start_s in np.linspace(0, hours * 3_600 - 10, 24).astype(int)[3:-3]:
            file.seek(44 + max(0, int(start_s) - 20) * rate * 2)
            file.write(minute)
    done = subprocess.run(
        [sys.executable, "-c", TEN_HOURS, str(path)], capture_output=True, text=True, check=True
    )
    figures, note = done.stdout.splitlines()
    duration_s, n_windows, megabytes = map(float, figures.split())
    assert duration_s == hours * 3_600
    assert n_windows == 18, "three windows at each end are silent"
    assert megabytes < 400
    assert note.startswith("10:00:00 long: 24 windows")
