"""Training: losses by hand, batches, resume, and a toy model from cache to prediction."""

from __future__ import annotations

import sys
from dataclasses import replace

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is in the extra `train`")
pytest.importorskip("lightning", reason="lightning is in the extra `train`")
pytest.importorskip("onnx", reason="onnx is in the extra `train`")

from audio_model import exporting, member_training, training  # noqa: E402
from audio_model.backbone_network import BackboneNetworkConfiguration  # noqa: E402
from audio_model.decode import decode  # noqa: E402
from audio_model.examples import Augmentation, Batch, TrainingBatches  # noqa: E402
from audio_model.heads import (  # noqa: E402
    DATASET_HEADS,
    LABELS,
    N_LOGITS,
    group_shares,
    head_slices,
)
from audio_model.input_cache import Clip  # noqa: E402
from audio_model.member_training import MemberTraining, train_member  # noqa: E402
from audio_model.network import (  # noqa: E402
    MelStatistics,
    Members,
    NetworkConfiguration,
    SoundNetwork,
    TonalStatistics,
)
from audio_model.predictor import AudioPredictor  # noqa: E402
from audio_model.training_configuration import TrainingConfiguration  # noqa: E402
from audio_model.training_recordings import RecordingSources  # noqa: E402
from audio_model.windows import TEN_SECONDS, FrontEnd, Spectra, WindowConfiguration, Windows  # noqa: E402
from data_prep.errors import InputError, MissingDataError, ModelFolderError  # noqa: E402
from data_prep.model_folder import ModelCard, write_card  # noqa: E402
from data_prep.taxonomy import EMOTIONS, native_label_set  # noqa: E402

TOY = NetworkConfiguration(channels=(4, 4), wide=4, deep=4)


def toy_clips(n: int = 4) -> list[Clip]:
    rng = np.random.default_rng(0)
    clips = []
    for dataset, head in DATASET_HEADS.items():
        size = len(native_label_set(head).labels)
        for i in range(n):
            shares = (
                rng.uniform(0, 1, size) if head == "emotify" else np.eye(size)[i % size]
            ).astype(np.float32)
            spectra = noise(300 + 400 * (i % 2), rng, level=-20.0 + 3 * i)
            clips.append(Clip(dataset, f"{dataset}-{i}", f"g{i}", shares, spectra))
    return clips


def noise(n_frames: int, rng: np.random.Generator, level: float = -20.0) -> Spectra:
    notes = rng.exponential(0.3, (64, -(-n_frames // 4)))
    return Spectra(rng.normal(level, 6, (48, n_frames)), notes).astype(np.float16)


def batch_of(dataset: str, native: list[float]) -> Batch:
    shares = np.array(native, dtype=np.float32)
    padded = np.zeros(9, dtype=np.float32)
    padded[: shares.size] = shares
    log_mel = torch.zeros(1, 48, 624)
    return Batch(
        log_mel,
        torch.zeros(1, 64, 156),
        torch.zeros(1, 0),
        log_mel,
        torch.tensor([list(DATASET_HEADS).index(dataset)]),
        torch.from_numpy(padded)[None],
        torch.from_numpy(group_shares(dataset, shares))[None],
    )


def module(**settings) -> MemberTraining:
    configuration = TrainingConfiguration(network=TOY, label_smoothing=0.0, **settings)
    return MemberTraining(SoundNetwork(TOY), toy_clips(), configuration, 0)


def value(loss) -> float:
    return float(loss.detach())


def six_logits(**values: float):
    logits = torch.zeros(1, N_LOGITS)
    for name, value in values.items():
        logits[0, head_slices()["six"].start + EMOTIONS.index(name)] = value
    return logits


def test_a_union_is_satisfied_by_either_emotion():
    q2 = batch_of("emopia", [0, 1, 0, 0])
    loss = module().six_loss
    assert value(loss(six_logits(anger=50.0), q2)) == pytest.approx(0.0, abs=1e-4)
    assert value(loss(six_logits(tension=50.0), q2)) == pytest.approx(0.0, abs=1e-4)
    assert value(loss(six_logits(joy=50.0), q2)) > 10
    # equal logits over the five emotions EMOPIA knows: two of five
    assert value(loss(six_logits(), q2)) == pytest.approx(-np.log(2 / 5), abs=1e-4)


def test_an_emotion_a_data_set_does_not_know_is_not_in_its_loss():
    q1 = batch_of("emopia", [1, 0, 0, 0])
    loss = module().six_loss
    assert value(loss(six_logits(neutral=30.0), q1)) == pytest.approx(value(loss(six_logits(), q1)))


def test_native_losses_by_hand():
    loss = module(emotify_weight=1.0).native_loss
    logits = torch.zeros(1, N_LOGITS)
    sung = batch_of("ravdess_song", [0, 0, 1, 0, 0, 0])
    assert value(loss(logits, sung)) == pytest.approx(np.log(6))
    scales = batch_of("emotify", [0.5] * 9)
    assert value(loss(logits, scales)) == pytest.approx(np.log(2))


def test_the_mean_bias_is_served():
    trained = module()
    with torch.no_grad():
        trained.six_bias[0, 2] = 3.0
    before = trained.network.direct.bias[head_slices()["six"]].clone()
    after = trained.served_network().direct.bias[head_slices()["six"]]
    np.testing.assert_allclose((after - before).detach().numpy(), [0, 0, 1, 0, 0, 0], atol=1e-6)


def test_batches_are_seeded_and_mixed():
    shares = {"ravdess_song": 3, "emotify": 2, "emopia": 1}
    clips = toy_clips()
    first, again = (
        list(TrainingBatches(clips, shares, 2, Augmentation(), seed=5)) for _ in range(2)
    )
    other = list(TrainingBatches(clips, shares, 2, Augmentation(), seed=6))
    assert len(first) == 2
    assert torch.equal(first[1].log_mel, again[1].log_mel)
    assert not torch.equal(first[1].log_mel, other[1].log_mel)
    assert torch.bincount(first[0].dataset).tolist() == [3, 2, 1]
    assert first[0].log_mel.shape == (6, 48, 624)
    assert float(first[0].log_mel.min()) >= -60
    assert float(first[0].log_mel.max()) <= 20


def test_windows_are_whole_whatever_the_length():
    random = np.random.default_rng(0)
    shares = {"ravdess_song": 4}
    for n in (1, 50, 623, 624, 625, 626, 5_000):
        clip = Clip("ravdess_song", "a", "g", np.eye(6, dtype=np.float32)[0], noise(n, random))
        (batch,) = TrainingBatches([clip], shares, 1, Augmentation(), seed=1)
        assert batch.log_mel.shape == batch.masked.shape == (4, 48, 624)
        assert batch.salience.shape == (4, 64, 156)
        assert torch.isfinite(batch.log_mel).all()


def test_both_spectrograms_of_a_training_window_are_of_the_same_time():
    frames = np.arange(3_000)
    spectra = Spectra(
        np.tile(-frames / 100.0, (48, 1)).astype(np.float32),
        np.tile(frames[::4] / 4.0, (64, 1)).astype(np.float32),
    )
    clip = Clip("ravdess_song", "a", "g", np.eye(6, dtype=np.float32)[0], spectra)
    still = Augmentation(gain_db=0.0, tilt_db=0.0, raise_floor=0.0, low_pass=0.0)
    (batch,) = TrainingBatches([clip], {"ravdess_song": 8}, 1, still, seed=2)
    np.testing.assert_allclose(batch.log_mel[:, 0, ::4] * -25.0, batch.salience[:, 0], atol=1e-2)


def chord(*notes: int) -> torch.Tensor:
    """A window in which MIDI notes sound throughout."""
    salience = torch.zeros(1, 64, 156)
    salience[:, [note - 33 for note in notes]] = 1.0
    return salience


def test_tonal_statistics_by_hand():
    statistics = TonalStatistics(64, 33)
    c_major, c_minor = (statistics(chord(60, third, 67))[0] for third in (64, 63))
    assert c_major.shape == (statistics.n_features,)
    assert c_major[0] > 0.05 > -0.05 > c_minor[0]  # major minus minor
    np.testing.assert_allclose(c_major[[3, 7, 10]], 1 / 3, atol=1e-4)  # tonic, third, fifth
    np.testing.assert_allclose(c_minor[[15, 18, 22]], 1 / 3, atol=1e-4)
    # best triads: three notes of length one over the square root of three
    np.testing.assert_allclose(c_major[33:35], [3**0.5, 2 / 3**0.5], atol=1e-3)


def test_the_key_does_not_matter_but_the_mode_does():
    statistics = TonalStatistics(64, 33)
    c, e_flat = statistics(chord(60, 64, 67))[0], statistics(chord(63, 67, 70))[0]
    register = statistics.n_features - 18
    np.testing.assert_allclose(c[:register], e_flat[:register], atol=1e-4)
    # a quarter of an octave higher
    assert float(e_flat[register] - c[register]) == pytest.approx(0.25, abs=1e-3)


def test_tonal_statistics_of_silence_and_of_short_windows_are_finite():
    statistics = TonalStatistics(64, 33)
    assert torch.isfinite(statistics(torch.zeros(2, 64, 156))).all()


def test_statistics_by_hand():
    statistics = MelStatistics(48, 624)
    window = torch.full((1, 48, 624), -20.0)
    window[:, :, 1::2] = -10.0
    found = statistics(window)[0]
    assert found.shape == (statistics.n_features,)
    assert torch.isfinite(found).all()
    np.testing.assert_allclose(found[:48], -15.0, atol=1e-3)  # mean
    np.testing.assert_allclose(found[48:96], 5.0, atol=1e-2)  # spread
    np.testing.assert_allclose(found[144:192], 10 * np.log10(0.055), atol=1e-2)  # mean power
    np.testing.assert_allclose(found[192:240], 10.0, atol=1e-1)  # spread of the change


def test_statistics_of_silence_are_finite():
    assert torch.isfinite(MelStatistics(48, 624)(torch.full((1, 48, 624), -60.0))).all()


def test_an_interrupted_training_goes_on_and_ends_the_same(tmp_path, monkeypatch):
    settings = TrainingConfiguration(
        n_epochs=3,
        batches_per_epoch=2,
        shares={"ravdess_song": 2, "emotify": 2, "emopia": 2},
        network=TOY,
    )
    clips = toy_clips()
    lines: list[str] = []
    whole = train_member(tmp_path / "a", clips, settings, seed=3, say=lines.append)
    assert "epoch 3 of 3" in lines[-1]

    class KilledError(Exception):
        pass

    class Killing(TrainingBatches):
        made = 0

        def __getitem__(self, index):
            Killing.made += 1
            if Killing.made == 6:  # the last batch of the third epoch
                raise KilledError
            return super().__getitem__(index)

    with monkeypatch.context() as patched:
        patched.setattr(member_training, "TrainingBatches", Killing)
        with pytest.raises(KilledError):
            train_member(tmp_path / "b", clips, settings, seed=3, say=lines.append)
    resumed = train_member(tmp_path / "b", clips, settings, seed=3, say=lines.append)
    for one, other in zip(whole.state_dict().values(), resumed.state_dict().values(), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5)


def test_fast_dev_run(tmp_path):
    settings = TrainingConfiguration(n_epochs=1, batches_per_epoch=1, network=TOY)
    train_member(tmp_path, toy_clips(), settings, seed=0, say=lambda line: None, fast_dev_run=True)


def test_save_load_export_round_trip(tmp_path):
    members = [SoundNetwork(TOY) for _ in range(10)]
    windows = (torch.randn(16, 48, 624) * 10 - 20, torch.rand(16, 64, 156), torch.zeros(16, 0))
    for member in members:
        member.fit_scales(*windows)
        member.eval()
    settings = TrainingConfiguration(network=TOY)
    training.save_member(tmp_path / "m" / "weights.safetensors", members[1], settings, 7)
    loaded, kept = training.load_member(tmp_path / "m" / "weights.safetensors")
    assert kept == settings
    with torch.no_grad():
        np.testing.assert_array_equal(loaded(*windows), members[1](*windows))
        logits = torch.stack([member(*windows) for member in members], dim=1)
    expected = logits.unflatten(1, (5, 2)).mean(dim=2).numpy()
    folder = tmp_path / "model"
    folder.mkdir()
    pairs = Members(list(zip(members[::2], members[1::2], strict=True)))
    exporting.write_network(pairs, folder / "model.onnx")
    whole = (folder / "model.onnx").stat().st_size
    exporting.halve_weights(folder / "model.onnx")
    assert (folder / "model.onnx").stat().st_size < whole
    weights = exporting.head_weights(LABELS)
    card = ModelCard("audio", "toy", LABELS, weights, TEN_SECONDS.features())
    write_card(folder, card)
    predictor = AudioPredictor.load(folder)
    found = predictor.read_members(Windows(*(part.numpy() for part in windows)))
    np.testing.assert_allclose(found, training.probabilities(expected), atol=5e-3)


def test_settings_are_checked():
    with pytest.raises(InputError, match="gtzan"):
        TrainingConfiguration(shares={"gtzan": 3})


def test_unknown_folds_are_refused(tmp_path):
    with pytest.raises(InputError, match="folds"):
        training.train(tmp_path, folds=[7])


def test_exporting_without_members_says_what_to_run(tmp_path):
    with pytest.raises(MissingDataError, match="maeum train audio"):
        exporting.export(tmp_path, tmp_path / "model")


def test_temperature_sharpens_answers_that_are_too_flat():
    rng = np.random.default_rng(0)
    clips = [
        Clip("ravdess_song", str(i), "g", np.eye(6, dtype=np.float32)[i], noise(4, rng))
        for i in range(6)
    ]
    # native order is not that of the six: put the mass where each label belongs
    six = np.full((6, 6), 0.1, dtype=np.float32)
    for i, targets in enumerate(native_label_set("ravdess_song").targets):
        six[i, targets[0]] = 0.5
    assert exporting.fit_temperature(clips, six) == pytest.approx(0.4)


def test_an_embedding_is_trained_exported_and_served(tmp_path, monkeypatch):
    pytest.importorskip("h5py")
    import soundfile

    from audio_model import input_cache
    from audio_model.embedding_cache import prepare_embeddings
    from audio_model.windows import WITH_EMBEDDING
    from data_prep.readers.row import ClipRow
    from tests.audio_model.toy_musicnn import toy_weights, write_wheel

    rng = np.random.default_rng(0)
    rows = []
    for i in range(3):
        path = tmp_path / f"{i}.wav"
        soundfile.write(path, rng.normal(0, 0.1, 16_000 * (2 + 3 * i)), 16_000)
        shares = np.eye(6, dtype=np.float32)[i]
        rows.append(ClipRow(str(i), path, shares, group=f"{i + 1:02d}"))
    for module in (input_cache, sys.modules["audio_model.embedding_cache"]):
        monkeypatch.setattr(module, "read_rows", lambda dataset, work: rows)
    wheel = write_wheel(tmp_path / "musicnn.whl", toy_weights())
    input_cache.prepare(tmp_path, datasets=("ravdess_song",), say=lambda line: None)
    lines: list[str] = []
    # another embedding or other windows do not make spectrograms anew
    other = replace(WITH_EMBEDDING, windows=WindowConfiguration(n_frames=64))
    input_cache.prepare(tmp_path, datasets=("ravdess_song",), front_end=other, say=lines.append)
    assert lines == []
    for _ in range(2):  # the second time there is nothing left to do
        prepare_embeddings(tmp_path, wheel, datasets=("ravdess_song",), say=lines.append)
    assert lines == ["ravdess_song: 3 of 3 embeddings, 0 s left"]
    clips = input_cache.load(tmp_path, "ravdess_song", front_end=WITH_EMBEDDING)
    assert [clip.some_patches().shape for clip in clips] == [(1, 200), (3, 200), (5, 200)]

    network = replace(TOY, n_embedding=200)
    settings = TrainingConfiguration(
        datasets={"ravdess_song": "ravdess_song"},
        shares={"ravdess_song": 4},
        n_epochs=1,
        batches_per_epoch=2,
        network=network,
        front_end=WITH_EMBEDDING,
    )
    recipes = [settings]
    RecordingSources(("ravdess_song",)).write(training.run_folder(tmp_path, "toy"))
    monkeypatch.setattr(exporting, "clip_fold", lambda clip: int(clip.id) % 5)
    monkeypatch.setattr(training, "clip_fold", lambda clip: int(clip.id) % 5)
    training.train(
        tmp_path, run="toy", clips=clips, folds=[0, 1], recipes=recipes, say=lambda line: None
    )
    folder = exporting.export(tmp_path, tmp_path / "model", run="toy", say=lambda line: None)
    predictor = AudioPredictor.load(folder)
    assert predictor.n_members == 2
    # what is cut from the cache is what serving hears in the file
    cached = clips[0].windows(WITH_EMBEDDING)
    heard = predictor.windows([decode(rows[0].path).samples])
    np.testing.assert_allclose(heard.embedding, cached.embedding, atol=0.02)
    np.testing.assert_allclose(heard.log_mel, cached.log_mel, atol=0.05)
    reading = predictor.read_file(rows[1].path)
    assert reading.distribution is not None
    (folder / "embedding.onnx").unlink()
    with pytest.raises(ModelFolderError, match=r"embedding\.onnx is missing"):
        AudioPredictor.load(folder)


def test_a_clip_without_an_embedding_says_what_to_run():
    from audio_model.windows import WITH_EMBEDDING

    (clip,) = toy_clips(1)[:1]
    with pytest.raises(MissingDataError, match="--tagger"):
        clip.windows(WITH_EMBEDDING)


def test_rare_labels_weigh_more_when_balanced():
    clips = [clip for clip in toy_clips(4) if clip.dataset == "emopia"]  # Q1 Q2 Q3 Q4
    clips += [replace(clips[0], id=f"more-{i}") for i in range(4)]  # Q1 five times of eight
    settings = TrainingConfiguration(network=TOY, balance="weights", label_smoothing=0.0)
    trained = MemberTraining(SoundNetwork(TOY), clips, settings, 0)
    row = list(DATASET_HEADS).index("emopia")
    np.testing.assert_allclose(trained.native_weights[row, :4], [0.4, 2.0, 2.0, 2.0])
    q1, q2 = (batch_of("emopia", [float(k == i) for k in range(4)]) for i in range(2))
    logits = torch.zeros(1, N_LOGITS)
    losses = [value(trained.native_loss(logits, batch)) for batch in (q1, q2)]
    np.testing.assert_allclose(losses, [0.4 * np.log(4), 2.0 * np.log(4)], rtol=1e-5)


def test_a_backbone_learns_from_recordings_that_carry_notes_as_well(tmp_path):
    pytest.importorskip("timm")
    front_end = FrontEnd(pitch=None, windows=WindowConfiguration(n_frames=312))
    settings = TrainingConfiguration(
        n_epochs=1,
        batches_per_epoch=1,
        shares={"ravdess_song": 2, "emotify": 2, "emopia": 2},
        network=BackboneNetworkConfiguration(),
        front_end=front_end,
    )
    clips = toy_clips()  # as the cache has them, of different lengths
    found = clips[0].windows(front_end)
    assert found.salience.shape == (len(found.log_mel), 0, 312)
    network = train_member(tmp_path, clips, settings, seed=1, say=lambda line: None)
    assert training.answers(network, clips, settings).shape == (len(clips), N_LOGITS)


def test_corrected_labels_are_learned_anew(tmp_path):
    settings = TrainingConfiguration(
        n_epochs=1,
        batches_per_epoch=2,
        shares={"ravdess_song": 2, "emotify": 2, "emopia": 2},
        network=TOY,
    )
    clips = toy_clips()
    corrected = [replace(clip, shares=np.roll(clip.shares, 1)) for clip in clips]

    def trained(own: list[Clip], changed: TrainingConfiguration) -> tuple[list[float], list[str]]:
        lines: list[str] = []
        network = train_member(tmp_path, own, changed, seed=3, say=lines.append)
        return network.output_bias.tolist(), lines

    first, lines = trained(clips, settings)
    assert len(lines) == 1
    # who makes the batches decides nothing
    assert trained(clips, replace(settings, workers=1)) == (first, [])
    other, lines = trained(corrected, settings)
    assert len(lines) == 1
    assert other != first


@pytest.mark.parametrize("change", [{"learning_rate": -1.0}, {"weight_decay": float("nan")}])
def test_rates_that_make_no_sense_are_refused(change):
    with pytest.raises(InputError, match="learning rate"):
        TrainingConfiguration(**change)


def test_a_few_recordings_have_no_correlation():
    clips = [clip for clip in toy_clips() if clip.dataset == "emotify"][:2]
    answers = np.full((2, N_LOGITS), 0.2, dtype=np.float32)
    assert training.scores(clips, answers) == {}


def test_every_member_is_checked_before_one_is_trained(tmp_path, monkeypatch):
    monkeypatch.setattr(training, "clip_fold", lambda clip: 1)
    with pytest.raises(InputError, match="member 1"):
        training.train(tmp_path, clips=toy_clips(), folds=[0, 1], say=lambda line: None)
    assert not list(tmp_path.rglob("*.safetensors"))


def test_scales_are_fitted_to_two_windows_of_a_clip():
    clips = toy_clips(1)
    long = replace(clips[0], spectra=noise(3_000, np.random.default_rng(0)))
    settings = TrainingConfiguration(network=TOY)
    log_mel, salience, _ = member_training._scale_windows([long, long, long], settings, at_most=2)
    assert len(log_mel) == len(salience) == 4  # two of the first and of the last
