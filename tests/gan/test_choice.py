"""The generator is the last look that keeps up."""

from augmentgan.gan.choice import Choice


def look(updates, div_worst):
    return {"updates": updates, "div": 1.0, "div_worst": div_worst}


def test_later_is_better_while_nothing_collapses():
    choice = Choice([])
    assert [choice.takes(updates, worst, 0.9) for updates, worst in ((500, 0.5), (1000, 0.8), (1500, 0.75))] == [
        True
    ] * 3
    assert choice.updates == 1500


def test_a_collapsed_look_is_not_taken():
    choice = Choice([])
    assert choice.takes(500, 0.8, 0.9)
    assert not choice.takes(1000, 0.4, 0.9)
    assert choice.updates == 500
    assert choice.takes(1500, 0.78, 0.9)


def test_a_look_keeps_up_with_nine_tenths_of_the_best():
    choice = Choice([])
    assert choice.takes(500, 0.8, 0.9)
    assert not choice.takes(1000, 0.71, 0.9)
    assert choice.takes(1500, 0.73, 0.9)


def test_variety_counts_for_less_the_farther_samples_lie_from_real_images():
    for near, keeps_up in ((0.8, 0.81), (1.0, 0.81), (1.2, 0.675), (1.5, 0.54)):
        for div_worst in (keeps_up - 0.001, keeps_up + 0.001):
            choice = Choice([])
            choice.takes(500, 0.9, near)
            assert choice.takes(1000, div_worst, 0.95) is (div_worst > keeps_up)


def test_the_noise_of_the_beginning_is_not_kept_for_its_variety():
    """What a generator of a hundred classes was seen to do."""
    choice = Choice([])
    looks = [
        (500, 0.762, 1.641),
        (1000, 0.644, 1.234),
        (1500, 0.549, 1.041),
        (2000, 0.532, 0.979),
        (3000, 0.555, 0.946),
    ]
    assert all(choice.takes(*each) for each in looks)


def test_more_varied_than_real_sets_no_higher_bar():
    choice = Choice([])
    assert choice.takes(500, 1.6, 0.9)  # noise is varied
    assert choice.takes(1000, 0.95, 0.9)


def test_noise_far_from_every_image_sets_no_bar_that_matters():
    choice = Choice([])
    assert choice.takes(30, 1.6, 2.2)
    assert choice.takes(210, 0.7, 1.0)
    assert not choice.takes(240, 0.5, 1.0)


def test_what_was_chosen_is_chosen_again_from_the_events():
    events = [look(500, 0.8), {"updates": 600}, look(1000, 0.4)]
    assert Choice(events).updates == 500
    assert not Choice(events).takes(1500, 0.5, 0.9)


def test_a_figure_that_is_no_number_is_passed_over():
    assert Choice([look(500, "x"), {**look(1000, {}), "near": []}]).updates == 1000


def test_classes_that_cannot_be_judged():
    choice = Choice([])
    assert choice.takes(500, None, 0.9)
    assert choice.takes(1000, None, 0.9)
    assert choice.updates == 1000
    assert choice.takes(1500, 0.4, 0.9)  # and have set no bar
