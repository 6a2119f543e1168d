"""A one-line description of each figure."""

from __future__ import annotations

MEANING = {
    "nats": "mean negative log-likelihood of an observation (lower is better)",
    "bits_per_dim": "the same in bits for each dimension",
    "nats_per_character": "the same for each character, the end of a string counted as one",
    "bits_per_byte": "the same in bits for each byte of the string as UTF-8, its end counted as one",
    "mean_energy": "mean energy; on a scale of the model's own, so no likelihood",
    "energy_auroc": "how often data has a lower energy than the same data with its dimensions shuffled (0.5 is chance)",
    "accuracy": "share of rows whose most probable class is right",
    "accuracy_of_commonest_class": "accuracy of always naming the commonest class",
    "accuracy_of_forest": "accuracy of a random forest of scikit-learn",
    "cross_entropy": "mean negative log-probability of the right class, in nats",
    "c2st_accuracy": "classifier two-sample test: how often one tells samples from data (0.5 is chance, 1 always)",
    "c2st_auc": "area under the ROC curve of gradient boosting that tells samples of a table from data (0.5: not)",
    "column_shapes": "how much the values of a column are those of data, on average (1: the same distribution)",
    "pair_trends": "how much two columns depend on each other as in data, on average over pairs (1: the same)",
    "trained_on_samples": "area under the ROC curve, on held-out rows, of a classifier trained on samples",
    "copies": "share of samples that equal a training row",
    "distinct": "share of samples that no other sample equals",
    "nearer_to_training": "how often training data is nearer to a sample than as much held-out data (0.5: no copies)",
    "nearer_than_held_out": "how often a sample is nearer to training data than held-out data is (0.5 is right; "
    "more: copies, or too typical; less: too far out)",
    "spread": "how far two samples are from each other, over how far two real rows are (1; less: too alike, collapsed)",
    "density": "in how many neighborhoods of real rows a sample lies, over those of a real row (1; less: off the data)",
    "coverage": "share of real rows with a sample in their neighborhood",
    "density_in_classes": "density in the classifier's log-odds",
    "coverage_in_classes": "coverage in the classifier's log-odds",
    "frechet_distance": "Fréchet distance of the classifier's log-odds, squared (not comparable with FID)",
    "class_difference": "share of samples whose class, to the classifier, would have to be another (total variation)",
    "labelled_as_asked": "share of samples that the classifier gives the class that was asked for",
    "mean_score": "mean score of samples by the model's own discriminator",
    "reconstruction_rmse": "root mean square error of decode(encode(x)), in data units",
    "reconstruction_rmse_of_mean": "the same of the mean of the training data",
    "linear_probe": "accuracy of a logistic regression on the latents",
    "linear_probe_of_raw_data": "accuracy of a logistic regression on the observations themselves",
}
REFERENCES = {
    "truth": "the true density",
    "marginals": "independent columns, fitted to the training data",
    "mixture": "a mixture, fitted to the training data",
    "characters": "the frequencies of characters",
    "tokens": "the frequencies of tokens",
    "ngrams": "n-grams of characters or tokens, interpolated",
}


def meaning(name: str) -> str:
    """The description of a figure; empty if the name is unknown."""
    if name in MEANING:
        return MEANING[name]
    base, above, reference = name.partition("_above_")
    if above and base in MEANING and reference in REFERENCES:
        return f"paired difference to {REFERENCES[reference]} (negative: the model is better)"
    base, of, reference = name.partition("_of_")
    if of and base in MEANING and reference in REFERENCES:
        return f"that of {REFERENCES[reference]}"
    base, _, samples = name.removesuffix("_samples").rpartition("_")
    if base in MEANING and samples.isdigit():
        return f"that of the bound with {samples} samples"
    return ""
