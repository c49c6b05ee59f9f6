package cost

import (
	"context"
	"fmt"
	"log/slog"
	"testing"
	"time"

	"airfield/internal/db/dbtest"
	"airfield/internal/money"
)

func BenchmarkReserveAndSettle(b *testing.B) {
	config := hard(1_000_000)
	config["people"] = BudgetConfig{Scope: "user", USD: dollars(1_000_000).USD, Period: Daily, Hard: true}
	config["tokens"] = BudgetConfig{Scope: "environment", Tokens: 1 << 50, Period: Monthly, TimeZone: "Europe/Berlin", Hard: true}
	x := NewBudgets(config, dbtest.Open(b, dbtest.SQLite(b)), "j#1", func(BudgetAlert) {}, slog.New(slog.DiscardHandler))
	defer x.Close()
	ctx, at, most := context.Background(), time.Now(), Amount{USD: money.Nanos(1000), Tokens: 100}
	big, err := x.Reserve(ctx, support, at, Amount{USD: dollars(10_000).USD, Tokens: 1 << 40})
	if err != nil {
		b.Fatal(err)
	}
	big.Cancel()
	b.ReportAllocs()
	for b.Loop() {
		h, err := x.Reserve(ctx, support, at, most)
		if err != nil {
			b.Fatal(err)
		}
		h.Settle(most)
	}
}

func BenchmarkStanding(b *testing.B) {
	config := hard(1_000_000)
	config["soft"] = BudgetConfig{Scope: "user", USD: dollars(1_000_000).USD, Period: Daily, EconomyAt: 80}
	x := NewBudgets(config, dbtest.Open(b, dbtest.SQLite(b)), "j#1", func(BudgetAlert) {}, slog.New(slog.DiscardHandler))
	defer x.Close()
	at := time.Now()
	b.ReportAllocs()
	for b.Loop() {
		if s := x.Standing(support, at); !s.HardUSD {
			b.Fatal("no budget")
		}
	}
}

func BenchmarkPost(b *testing.B) {
	for engine, address := range map[string]func(testing.TB) string{"sqlite": dbtest.SQLite, "postgres": dbtest.Postgres} {
		for name, config := range map[string]map[string]BudgetConfig{"none": nil, "three accounts": {
			"workflows": {Scope: "workflow", USD: dollars(1_000_000).USD, Period: Monthly, Hard: true},
			"all":       {Scope: "environment", USD: dollars(1_000_000).USD, Period: Monthly, Hard: true},
			"tokens":    {Scope: "key", Tokens: 1 << 50, Period: Daily, Hard: true},
		}, "a thousand users": {"people": {Scope: "user", Tokens: 1 << 50, Period: Daily}}} {
			b.Run(engine+", "+name, func(b *testing.B) {
				x := open(b, dbtest.Open(b, address(b)), "j", config)
				at, used := time.Now(), Amount{USD: 1000, Tokens: 100}
				for b.Loop() {
					b.StopTimer()
					for i := range 1000 {
						s := support
						if name != "none" && len(config) == 1 {
							s.User = fmt.Sprint("user ", i)
						}
						h, err := x.reserve(s, at, used, time.Minute)
						if err != nil {
							b.Fatal(err)
						}
						x.settle(s, at, h, used)
					}
					b.StartTimer()
					x.post()
				}
				b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(b.N)/1000, "µs/call")
			})
		}
	}
}
