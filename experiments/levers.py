"""What makes captions better? One change at a time against the defaults, on the validation split of Flickr8k-CN.

COMMAND
    python experiments/levers.py --data DIR --workdir runs/levers --levers none stages crops layers ...

Every lever trains 14 epochs with mirrored views unless it says otherwise, in mixed_bfloat16. Losses are per known
token and can be compared where the vocabulary is the same (1,722 words, but for "stages, all words").

RESULT, one seed each, 2 cores (AMD EPYC) without GPU that did other work as well. Scores in jieba words, times 100;
"beam" is a beam of 3, "consensus" a beam of 20 with --consensus 0.3. With one seed each and 1,000 images, differences
of a point or two in CIDEr say nothing; the loss says more.

                                         beam                      consensus
    lever              val_token_loss    BLEU-4  CIDEr  distinct   BLEU-4  CIDEr  distinct
    none                       2.2221      25.2   82.4       324     26.7   86.1       385
    none, the same once more   2.2198      25.4   81.9       322     26.0   84.6       381
    stages, all words          (2.309)     25.6   82.2       301
    stages                     2.1796      26.9   86.5       337     27.3   87.2       397
    no flips                   2.2242      25.4   80.8       334     25.4   82.4       382
    crops                      2.2213      25.4   80.5       298     25.7   83.4       346
    layers                     2.2286      24.9   80.4       353     25.2   83.8       411
    less dropout               2.1914      25.6   81.3       379     25.8   83.9       453
    features whole             2.2439      25.3   82.0       340     25.6   83.5       374
    no smoothing               2.1792      25.3   81.9       329     25.6   84.1       389
    rare words                (2.3073)     25.2   80.3       333     25.6   82.9       397

- stages: machine translations of the English captions first (6 of 18 epochs), people's captions after, with the
  vocabulary of the latter (1,722 words). With the words of both (4,202) and 4 of 14 epochs
  nothing was won. This is the one lever that moved both the loss and the scores.
- no flips: without mirrored views. As good in the loss, no better in captions.
- layers: four instead of three. Nothing in 14 epochs; the recipes, which train longer, have four.
- less dropout: 0.2 instead of 0.3 on every branch. A lower loss and more varied captions, not better ones: in 14
  epochs the model learns more, as it does with more epochs.
- features whole: no dropout on the features. A higher loss, so it stays.
- no smoothing: the loss is that of the labels without smoothing, which then is what is trained on, so it falls without
  better captions.
- rare words: those seen twice count (2,811 tokens; the loss is of more words).
- crops: six views of each image instead of two (a feature cache of its own). Nothing in 14 epochs, but training and
  validation loss lie closer.

On four layers with crops, as in `flickr8k_cn.py`, one seed each:

    stages, 8 + 16 epochs          2.1409    beam  26.3  84.7  378        consensus 0.3  27.1  88.4  436
                                                                          consensus 0.2  27.1  88.3  444
    mixed stages, 14 + 8 epochs    2.1369    beam  26.7  86.4  380        consensus 0.3  27.2  88.9  432
                                                                          consensus 0.2  27.1  89.5  449

Tuning for CIDEr (`caption-tx tune`) the model of the mixed stages, 3 epochs at a learning rate of 1e-4, the first of
which was the best: greedy 25.6 / 83.4 / 399 -> 26.7 / 85.8 / 342, beam 3 27.2 / 88.5 / 317, consensus 0.2 26.0 / 86.2
/ 404, consensus 0.7 27.4 / 85.4 / 342. At temperature 1 instead of 0.5, with 5e-5 and without people's captions beside
it, an epoch took the greedy captions of "none" from 80.5 to 74.2 and from 356 distinct ones to 184.

Searches on the model of "none" (BLEU-4, CIDEr, distinct):

    greedy                                     25.1  80.5  356
    beam 3, length penalty 0 / 0.7 / 1         24.6  77.4  307 / 25.2  82.4  324 / 24.8  82.8  324
    beam 5, length penalty 0.7                 25.3  81.2  306
    beam 20, length penalty 0.7                25.5  81.6  299
    beam 20, consensus 0.3 / 0.5               26.7  86.1  385 / 26.8  85.0  355
    beam 40, consensus 0.3                     25.5  82.3  388
    32 samples at T 0.5 / 0.7 / 1, consensus   24.0  78.6  482 / 23.4  77.0  522 / 22.8  74.4  715

Tried with code that was not kept, since it won nothing on validation:
- consensus with idf weights from the training captions (85.8 CIDEr at 0.5) or from the words' frequencies (85.4 at 0.3)
  instead of plain counts; with the captions of the mirrored image as further candidates (84.5).
- log-probability less 0.1 to 0.4 times that without the picture (Li et al. 2016): beam 10 goes from 81.5 to 82.1,
  with 330 distinct captions instead of 299; together with consensus nothing (84.9).
- a self-attention block among the cells before the decoder (three layers, mirrored views): behind "crops" by 0.007 in
  the loss after twelve epochs, then stopped. Pictures of 320 x 320 pixels: level with "crops" for seven epochs, then
  stopped; the files that were at hand have 224 x 224, so there was nothing more to see.
- averaging of snapshots: the mean of the weights of the last 2, 3 or 5 epochs of "none, the same once more" has
  losses of 2.2196, 2.2200 and 2.2232 (its last epoch: 2.2198), and with consensus a CIDEr of 84.2, 85.2 and 85.0
  (84.6). The learning rate falls to zero, so the last epochs are nearly one model already.
- the mean of the probabilities of an image and its mirror image: loss 2.141 becomes 2.135; of two seeds, 2.121; of
  both, 2.117. So a mean of models is worth little here, and so would be to learn from one.
- features of three depths (conv_pw_5 and 11 averaged to 7x7, beside conv_pw_12): behind "none" by 0.02 in the loss
  for seven epochs, then stopped.
"""

from __future__ import annotations

import argparse
from dataclasses import replace

import pandas as pd
from flickr8k import add_arguments, base_config, make_log, train_and_evaluate

from caption_tx.config import Config, DecodingOptions
from caption_tx.threads import configure_threads

BEAM = DecodingOptions(beam_width=3)
CONSENSUS = DecodingOptions(beam_width=20, consensus=0.3)


def _model(config: Config, **values: object) -> Config:
    return replace(config, model=replace(config.model, **values))


def _training(config: Config, **values: object) -> Config:
    return replace(config, training=replace(config.training, **values))


LEVERS = {
    "none": lambda arguments: base_config(arguments, "zh"),
    "stages": lambda arguments: _training(
        base_config(arguments, "zh", first_stages=("flickr8kzhb.caption.txt",)), epochs=18, stage_epochs=(6,)
    ),
    "mixed stages": lambda arguments: _training(
        base_config(arguments, "zh", first_stages=("flickr8kzhb.caption.txt",)),
        epochs=22,
        stage_epochs=(14,),
        mix_stages=True,
    ),
    "no flips": lambda arguments: _training(base_config(arguments, "zh"), flips=False),
    "crops": lambda arguments: _training(base_config(arguments, "zh"), crops=4),
    "layers": lambda arguments: _model(base_config(arguments, "zh"), num_layers=4),
    "less dropout": lambda arguments: _model(base_config(arguments, "zh"), dropout=0.2),
    "features whole": lambda arguments: _model(base_config(arguments, "zh"), feature_dropout=0.0),
    "no smoothing": lambda arguments: _training(base_config(arguments, "zh"), label_smoothing=0.0),
    "rare words": lambda arguments: replace(
        base_config(arguments, "zh"), text=replace(base_config(arguments, "zh").text, min_frequency=2)
    ),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_arguments(parser, epochs=14)
    parser.add_argument("--levers", nargs="+", choices=list(LEVERS), default=list(LEVERS))
    parser.add_argument("--precision", default="mixed_bfloat16", help="default: %(default)s")
    arguments = parser.parse_args()
    configure_threads()
    log, rows = make_log(), {}
    for name in arguments.levers:
        config = _training(LEVERS[name](arguments), precision=arguments.precision)
        if config.training.crops and arguments.cache is None:
            config = _training(config, cache=str(arguments.workdir / "features-crops"))
        folder = arguments.workdir / name.replace(" ", "-")
        rows[name] = train_and_evaluate(config, folder, CONSENSUS, log)
        beam = train_and_evaluate(config, folder, BEAM, log)
        rows[name] |= {f"beam {key}": beam[key] for key in ("bleu4", "cider", "distinct")}
    log(pd.DataFrame.from_dict(rows, orient="index").to_string(float_format="%.2f"))


if __name__ == "__main__":
    main()
