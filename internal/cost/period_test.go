package cost

import (
	"testing"
	"time"
)

func TestAPeriodBeginsAtItsOwnMidnight(t *testing.T) {
	for name, c := range map[string]struct{ period, zone, at, start, end string }{
		"a day in UTC":                           {Daily, "", "2026-03-01T10:00:00Z", "2026-03-01T00:00:00Z", "2026-03-02T00:00:00Z"},
		"a day before midnight in Berlin":        {Daily, "Europe/Berlin", "2026-01-31T23:30:00Z", "2026-01-31T23:00:00Z", "2026-02-01T23:00:00Z"},
		"the day the clocks go forward":          {Daily, "Europe/Berlin", "2026-03-29T12:00:00Z", "2026-03-28T23:00:00Z", "2026-03-29T22:00:00Z"},
		"the day the clocks go back":             {Daily, "Europe/Berlin", "2026-10-25T12:00:00Z", "2026-10-24T22:00:00Z", "2026-10-25T23:00:00Z"},
		"a day without a midnight":               {Daily, "Africa/Cairo", "2026-04-24T12:00:00Z", "2026-04-23T22:00:00Z", "2026-04-24T21:00:00Z"},
		"the day before one without a midnight":  {Daily, "Africa/Cairo", "2026-04-23T21:59:59Z", "2026-04-22T22:00:00Z", "2026-04-23T22:00:00Z"},
		"a day with two midnights":               {Daily, "America/Havana", "2026-11-01T12:00:00Z", "2026-11-01T04:00:00Z", "2026-11-02T05:00:00Z"},
		"a day that there was not":               {Daily, "Pacific/Apia", "2011-12-30T09:00:00Z", "2011-12-29T10:00:00Z", "2011-12-30T10:00:00Z"},
		"a week begins on Monday":                {Weekly, "", "2026-03-01T10:00:00Z", "2026-02-23T00:00:00Z", "2026-03-02T00:00:00Z"},
		"a week over the turn of the year":       {Weekly, "Asia/Kolkata", "2025-12-31T20:00:00Z", "2025-12-28T18:30:00Z", "2026-01-04T18:30:00Z"},
		"a month in New York":                    {Monthly, "America/New_York", "2026-03-01T04:59:59Z", "2026-02-01T05:00:00Z", "2026-03-01T05:00:00Z"},
		"a month in which the clocks go forward": {Monthly, "America/New_York", "2026-03-31T04:00:00Z", "2026-03-01T05:00:00Z", "2026-04-01T04:00:00Z"},
	} {
		cal, err := newCalendar(c.period, c.zone)
		if err != nil {
			t.Fatal(err)
		}
		at, _ := time.Parse(time.RFC3339, c.at)
		start, end := cal.around(at)
		if got, want := start.UTC().Format(time.RFC3339)+" "+end.UTC().Format(time.RFC3339), c.start+" "+c.end; got != want {
			t.Errorf("%s: %s, not %s", name, got, want)
		}
	}
}

func TestPeriodsFollowEachOtherWithoutAGap(t *testing.T) {
	for _, zone := range []string{"UTC", "Europe/Berlin", "Africa/Cairo", "America/Havana", "America/Santiago", "Asia/Beirut", "Australia/Lord_Howe", "Pacific/Apia", "America/St_Johns", "Asia/Tehran"} {
		for _, period := range []string{Daily, Weekly, Monthly} {
			cal, err := newCalendar(period, zone)
			if err != nil {
				t.Fatal(err)
			}
			at := time.Date(2010, 12, 20, 0, 0, 0, 0, time.UTC)
			_, next := cal.around(at)
			for next.Year() < 2028 {
				start, end := cal.around(next)
				if !start.Equal(next) || !end.After(start) {
					t.Fatalf("%s, %s: one ends at %s, the next is from %s to %s", zone, period, next, start, end)
				}
				if s, e := cal.around(end.Add(-time.Microsecond)); !s.Equal(start) || !e.Equal(end) {
					t.Fatalf("%s, %s: the last moment before %s is of the period from %s to %s", zone, period, end, s, e)
				}
				next = end
			}
		}
	}
}

func TestWhatIsNoPeriod(t *testing.T) {
	for _, c := range [][2]string{{"year", ""}, {"", "UTC"}, {Daily, "Mars/Olympus"}, {Daily, "Local"}} {
		if _, err := newCalendar(c[0], c[1]); err == nil {
			t.Errorf("%q was taken", c)
		}
	}
}
