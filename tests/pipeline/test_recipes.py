"""What settings add to a recipe: nothing while they say what was always done."""

from rstar.config.run import SelectConfig
from rstar.config.train import OrmConfig, PpmConfig
from rstar.pipeline.train import recipe_of


def test_which_trajectories_are_taken_counts_where_it_is_not_by_q():
    assert "by" not in SelectConfig().recipe()
    assert SelectConfig(by="random").recipe()["by"] == "random"
    assert SelectConfig(top=3).recipe()["top"] == 3


def test_tanh_in_the_loss_counts_where_it_is_off():
    assert "tanh_in_loss" not in recipe_of(PpmConfig())
    assert recipe_of(PpmConfig(tanh_in_loss=False))["tanh_in_loss"] is False
    assert recipe_of(PpmConfig(batch=7))["batch"] == 7
    assert "tanh_in_loss" not in recipe_of(OrmConfig())
    assert "micro_batch" not in recipe_of(OrmConfig())
