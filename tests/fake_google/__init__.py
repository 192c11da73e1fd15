"""A simulated Google Sheets API v4, which the real gspread and google-auth talk to over real HTTP on the loopback.

It knows nothing of our store: it is written from Google's documentation and discovery document, and from errors that
public issue trackers quote. Google itself was never asked. Start reading at `simulator.py`.

Simulated: service accounts and the token endpoint; sharing, 401, 403, 404, the switched-off API; spreadsheets.get and
create with field masks; batchUpdate, atomic and in order, with the requests in `requests.py`; the values API, RAW and
USER_ENTERED; limits of size; quotas on the server's clock; the `Date` header; faults; a person at the sheet.

Not simulated: formulas are never evaluated and never shift (they show `#SIMULATED!`); protected ranges, validation and
charts are kept and not acted upon; merges, borders, banding, tables, pivots, filter views, comments, developer
metadata, data filters, copyTo, Drive; gzip and pretty-printing of answers; R1C1 notation. What is asked for and not
simulated is answered 400 "not simulated" and listed in `Simulator.misses`.

Stricter than Google, on purpose: ranges may not lie beyond the grid; JSON names must be lowerCamelCase; the
replacement of a findReplace is parsed as if typed; a broken named range can neither be deleted nor its ID be reused.
"""

from tests.fake_google.accounts import Account
from tests.fake_google.errors import ApiError
from tests.fake_google.faults import Clock, Fault, ManualClock, NoAnswer
from tests.fake_google.grid import Sheet, Spreadsheet
from tests.fake_google.people import Person
from tests.fake_google.server import SheetsServer
from tests.fake_google.simulator import Entry, Simulator

__all__ = [
    "Account",
    "ApiError",
    "Clock",
    "Entry",
    "Fault",
    "ManualClock",
    "NoAnswer",
    "Person",
    "Sheet",
    "SheetsServer",
    "Simulator",
    "Spreadsheet",
]
