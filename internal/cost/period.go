package cost

import (
	"fmt"
	"time"
	_ "time/tzdata" // so that a budget's time zone is known everywhere
)

// Periods after which a budget begins anew.
const (
	Daily   = "day"
	Weekly  = "week" // ISO: from Monday
	Monthly = "month"
)

// calendar cuts time into a budget's periods, in its time zone.
type calendar struct {
	period string
	zone   *time.Location
}

func newCalendar(period, zone string) (calendar, error) {
	switch period {
	case Daily, Weekly, Monthly:
	default:
		return calendar{}, fmt.Errorf("period: %q is not day, week or month", period)
	}
	if zone == "Local" {
		return calendar{}, fmt.Errorf("time_zone: name one, such as Europe/Berlin: Local is another on each machine")
	}
	at, err := time.LoadLocation(zone)
	if err != nil {
		return calendar{}, fmt.Errorf("time_zone: %q is not known; a name such as Europe/Berlin is", zone)
	}
	return calendar{period, at}, nil
}

// around returns the period that a moment belongs to: its beginning, and that of the next.
func (c calendar) around(at time.Time) (start, end time.Time) {
	y, m, d := at.In(c.zone).Date()
	switch c.period {
	case Weekly:
		d -= (int(at.In(c.zone).Weekday()) + 6) % 7
		return c.midnight(y, m, d), c.midnight(y, m, d+7)
	case Monthly:
		return c.midnight(y, m, 1), c.midnight(y, m+1, 1)
	}
	return c.midnight(y, m, d), c.midnight(y, m, d+1)
}

// midnight is the first moment of a date. Clocks that are put forward or back at midnight have no such hour, or two, and
// time.Date then promises neither; they move by quarters of an hour at the least.
func (c calendar) midnight(y int, m time.Month, d int) time.Time {
	const step = 15 * time.Minute
	wanted := time.Date(y, m, d, 0, 0, 0, 0, time.UTC)
	before := func(t time.Time) bool {
		ty, tm, td := t.In(c.zone).Date()
		return time.Date(ty, tm, td, 0, 0, 0, 0, time.UTC).Before(wanted)
	}
	t := time.Date(y, m, d, 0, 0, 0, 0, c.zone)
	for before(t) {
		t = t.Add(step)
	}
	for !before(t.Add(-step)) {
		t = t.Add(-step)
	}
	return t
}
