from invnb.tuning import SLACK, weights_to_try


def test_the_largest_alone_where_none_came_near():
    assert weights_to_try({1.0: 0.5, 4.0: 0.7, 2.0: 0.8}, goal=0.95) == [4.0]


def test_a_single_weight():
    assert weights_to_try({3.0: 0.1}, goal=0.95) == [3.0]


def test_starts_at_the_smallest_that_came_near_and_climbs():
    similarity = {8.0: 0.99, 1.0: 0.6, 4.0: 0.94, 2.0: 0.8}
    assert weights_to_try(similarity, goal=0.95) == [4.0, 8.0]


def test_near_is_within_the_slack():
    goal = 0.75  # with the slack, a number that floats hold to the last digit
    assert weights_to_try({1.0: goal - SLACK, 2.0: 1.0}, goal) == [1.0, 2.0]
    assert weights_to_try({1.0: goal - SLACK - 1e-9, 2.0: 1.0}, goal) == [2.0]


def test_a_dip_after_a_weight_that_came_near_is_tried_too():
    """The search cannot know whether a dip is chance, so it leaves nothing out on its way up."""
    assert weights_to_try({1.0: 0.96, 2.0: 0.7, 4.0: 0.97}, goal=0.95) == [1.0, 2.0, 4.0]
