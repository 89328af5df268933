"""What tests are written with: the pytest plugin, the explore mark, Hypothesis strategies."""
