package cost

import "testing"

func TestAPortionBridgesAMinuteFromTheFirstReadingOn(t *testing.T) {
	const each = 10
	a := &account{bound: each}
	a.rate.update(1, 0)
	a.rate.update(500_000, 25*each) // too soon to say anything
	if got := a.want(); got != 16*each {
		t.Error(got)
	}
	a.rate.update(1_000_001, 50*each)
	if half := a.want() / 2; half < 60*50*each {
		t.Errorf("when half of a portion is left, %d are for less than a minute of fifty calls a second", half)
	}
	a.rate.update(2_000_001, 50*each) // a pause
	if got := a.want(); got < 100*50*each || got > 110*50*each {
		t.Errorf("a second without calls made %d of it", got)
	}
}
