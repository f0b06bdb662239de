"""croniter, to compare with: reads lines of JSON {"line", "after", "count"} and answers each with the next instants in UTC.

Its manual calls `implement_cron_bug` what cron(5) says: where a day field begins with a star, both day fields have to match.
"""

import json
import sys
from datetime import datetime, timezone

from croniter import CroniterError, croniter

for text in sys.stdin:
    question = json.loads(text)
    after = datetime.fromtimestamp(question["after"], timezone.utc)
    try:
        instants = croniter(
            question["line"],
            after,
            ret_type=datetime,
            implement_cron_bug=True,
            second_at_beginning=True,
            max_years_between_matches=40,
        )
        answer = [int(instants.get_next(datetime).timestamp()) for _ in range(question["count"])]
    except CroniterError as error:
        answer = str(error)
    print(json.dumps(answer), flush=True)
