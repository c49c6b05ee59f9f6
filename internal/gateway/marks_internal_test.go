package gateway

import "testing"

func TestTextsThatDifferWhereItCountsDoNotAgree(t *testing.T) {
	for _, c := range []struct {
		one, other string
		agree      bool
	}{
		{"How can I return a parcel?", "How do I return a parcel?", true},
		{"Where is my parcel?", "please tell me where my parcel is", true},
		{"What is your refund policy?", "What's your policy?", true},
		{"In 1,000 cases", "in 1,000 cases.", true},
		{"Refund after 30 days", "Refund after 60 days", false},
		{"Refund after thirty days", "Refund after sixty days", false},
		{"Is version 1.2 fine?", "Is version 1.3 fine?", false},
		{"order A-17", "order A-18", false},
		{"Can I cancel?", "Can I not cancel?", false},
		{"Does it work?", "Doesn't it work?", false},
		{"Is it covered", "Is it covered without insurance", false},
		{"Geht das ohne Konto?", "Geht das mit Konto?", false},
		{"Est-ce que je peux payer", "Est-ce que je ne peux pas payer", false},
		{"How do I enable it?", "How do I disable it?", false},
		{"Where is my parcel?", "When is my parcel?", false},
		{"What is my address?", "What is your address?", false},
		{`Who wrote "Emma"?`, `Who wrote "Persuasion"?`, false},
		{"What does `a b` do", "What does `b a` do", false},
		{"The weather in Paris", "The weather in London", false},
		{"a flight from Rome to Paris", "a flight from Paris to Rome", false},
		{"a flight from rome to paris", "a flight from paris to rome", false},
		{"Does the dog bite the man?", "Does the man bite the dog?", false},
		{"mail [email_1]", "mail [email_2]", false},
	} {
		one, other := marksOf(c.one), marksOf(c.other)
		if one.agree(&other) != c.agree || other.agree(&one) != c.agree {
			t.Errorf("%q and %q: %v, %+v and %+v", c.one, c.other, !c.agree, one, other)
		}
	}
}

func FuzzMarks(f *testing.F) {
	f.Add("Where's my “parcel 17”? I don't know.")
	f.Fuzz(func(t *testing.T, s string) {
		one, same := marksOf(s), marksOf(s)
		if !one.agree(&same) {
			t.Fatalf("%q does not agree with itself", s)
		}
	})
}
