"""A resumable run in chunks: what pretraining and fine-tuning share."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import lightning as L
from lightning.pytorch.callbacks import ModelCheckpoint

from lyrics_model.chunk_report import ChunkReport

LAST: Final = "last.ckpt"


def run_chunks(
    module: L.LightningModule, data: L.LightningDataModule, folder: Path, chunks: int
) -> Path:
    """Train for so many chunks in all; goes on after the last finished one.

    Parameters
    ----------
    module, data
        The data module serves chunk ``trainer.current_epoch``.
    folder
        Where ``last.ckpt`` is kept up to date at the end of every chunk.
    chunks
        In all, those of earlier runs included.

    Returns
    -------
    Path of the finished checkpoint.
    """
    last = folder / LAST
    keep = ModelCheckpoint(
        dirpath=folder,
        filename=last.stem,
        save_top_k=1,
        every_n_epochs=1,
        save_on_train_epoch_end=True,
        enable_version_counter=False,
    )
    trainer = L.Trainer(
        max_epochs=chunks,
        reload_dataloaders_every_n_epochs=1,
        gradient_clip_val=1.0,
        accelerator="auto",
        devices=1,
        default_root_dir=str(folder.parent),
        callbacks=[keep, ChunkReport()],
        log_every_n_steps=10,
        num_sanity_val_steps=0,
        enable_model_summary=False,
    )
    trainer.fit(
        module,
        datamodule=data,
        ckpt_path=str(last) if last.exists() else None,
        weights_only=True,
    )
    trainer.save_checkpoint(last)
    return last
