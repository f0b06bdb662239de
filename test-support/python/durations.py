"""What Django REST framework's DurationField makes of JSON values.

Reads a JSON array of JSON texts from standard input and writes an array of what became of each: `written` as the field
shows it again, or `refused` with its text.
"""

import json
import sys

import django
from django.conf import settings

settings.configure()
django.setup()

from rest_framework import serializers  # noqa: E402


def outcome(sent):
    field = serializers.DurationField()
    try:
        read = field.run_validation(json.loads(sent))
    except serializers.ValidationError as refused:
        (text,) = refused.detail
        return {"sent": sent, "refused": str(text)}
    return {"sent": sent, "written": field.to_representation(read)}


json.dump([outcome(sent) for sent in json.load(sys.stdin)], sys.stdout)
