"""The trained style score: features, classifier, calibration, confounds, prevalence, paired comparison."""
