from adarec_tf.config.recipe import SceneProfile
from adarec_tf.data.histories.statistics import SequenceStatistics
from adarec_tf.tuning.scene_profile import profile_scene
from tests.adarec_tf.tiny_scene import make_histories


def test_a_profile_by_hand() -> None:
    train = make_histories([[1, 1, 2, 1], [1], [3, 5, 9]])
    statistics = SequenceStatistics(
        num_users=4,
        num_items=200,
        vocabulary_bytes=1234,
        num_interactions=14,
        removed={},
        repeat_share=0.251234,
        seen="keep",
        max_length=50,
        windows="all",
        data_fingerprint="by hand",
    )
    assert profile_scene(train, statistics) == SceneProfile(
        num_users=3,
        num_items=200,
        vocabulary_bytes=1234,
        num_positions=5,
        mean_length=2.7,
        max_length=50,
        windows="all",
        seen="keep",
        repeat_share=0.2512,
        top_share=0.625,  # two of the items are a hundredth: 4 and 1 of 8 interactions
    )
    assert profile_scene(make_histories([[]]), statistics).num_positions == 0
