"""The page and its JSON API: a live service, a log, a schedule stepped by hand, in one browser tab.

    calls/        the calls of the API, a file a sort, each with its types
    app.py        routes and the OpenAPI document, which follow from them
    guard.py      who may ask, and how much: Host, Origin, token, sizes, times
    sockets.py    hypercorn on trio, its connections bounded
    hands.py      Ms of the service that are driven from the page
    live.py       what the page shows of a living World, sampled once for all browsers
    stream.py     server-sent events
    runs.py       scenarios run in processes of their own, and logs that were opened
    laboratory.py, worker.py
                  a process that computes: what runs programs never shares a loop with the service
    chair.py      a schedule made by hand: who goes next, and what everything looks like then
    columns.py    a log as columns that a canvas can draw
    offline.py    the page as one file with a document inside; needs nothing of the extra
    static/       the page: ES modules, one style sheet, nothing from elsewhere

The service knows nothing of all this: its World is looked at between two turns, and the Ms that
the page starts are connections as any other, over a stream in memory.
"""
