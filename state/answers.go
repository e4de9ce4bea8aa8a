package state

// answersMost is how many bytes of answers an event keeps. Its record is written anew with each attempt, and a receiver that
// says something else each time must not make it grow without end.
const answersMost = 16 << 10

// answerDropped stands for an answer that is no longer kept.
const answerDropped = "(no longer kept)"

// boundAnswers drops answers, but for the first and the last ones, until what is stored of them is within answersMost.
func boundAnswers(list []Attempt) []Attempt {
	for i := 1; i < len(list)-1 && answersSize(list) > answersMost; i++ {
		if len(list[i].Answer) > len(answerDropped) {
			list[i].Answer = answerDropped
		}
	}
	return list
}

// answersSize is what the answers take in a record: one that says the same as that before it takes nothing.
func answersSize(list []Attempt) (n int) {
	said := ""
	for _, a := range list {
		if a.Answer != said {
			n += len(a.Answer)
		}
		said = a.Answer
	}
	return n
}

// AttemptNumber is the number of one of Attempts, from 1 on, among all that were made: those between the first and the last
// ones may no longer be kept.
func (r Row) AttemptNumber(i int) int {
	if i < attemptsFirst {
		return i + 1
	}
	return i + 1 + r.AttemptsLost()
}

// AttemptsLost counts the attempts that are no longer kept; they were made after the first few of Attempts. It is 0 where
// that is not known, as of events that were finished before it was noted.
func (r Row) AttemptsLost() int { return max(0, r.Sent-len(r.Attempts)) }
