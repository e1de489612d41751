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


def test_a_look_sets_the_bar_only_when_its_samples_lie_near_real_images():
    for near, sets_a_bar in ((1.2, True), (1.3, False)):
        choice = Choice([])
        choice.takes(500, 0.9, near)
        assert choice.takes(1000, 0.5, 1.0) is not sets_a_bar


def test_more_varied_than_real_sets_no_higher_bar():
    choice = Choice([])
    assert choice.takes(500, 1.6, 0.9)  # noise is varied
    assert choice.takes(1000, 0.95, 0.9)


def test_a_look_that_has_learned_little_sets_no_bar():
    choice = Choice([])
    assert choice.takes(30, 1.6, 2.2)  # noise is varied, and far from every image
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
